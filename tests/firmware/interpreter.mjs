// Runs a transcript in MicroPython compiled to WebAssembly: node interpreter.mjs MICROPYTHON FIRMWARE SCRIPT
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [micropython, firmware, script] = process.argv.slice(2);
const { loadMicroPython } = await import(pathToFileURL(micropython));
const written = [];
const interpreter = await loadMicroPython({
  heapsize: 8 * 1024 * 1024,
  linebuffer: false,
  stdout: (bytes) => written.push(Buffer.from(bytes)),
});
for (const folder of ["controller", "desk"]) {
  interpreter.FS.mkdir(folder);
  for (const name of readdirSync(join(firmware, folder)).filter((name) => name.endsWith(".py"))) {
    interpreter.FS.writeFile(`${folder}/${name}`, readFileSync(join(firmware, folder, name)));
  }
}
interpreter.FS.writeFile("script.txt", readFileSync(script));
interpreter.runPython(`
import sys
from desk.transcript import play

print(sys.implementation.name, end="\\n")
print(play(open("script.txt").read()), end="")
`);
process.stdout.write(Buffer.concat(written));
