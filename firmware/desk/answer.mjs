// Runs the firmware on a board in memory in MicroPython, compiled to WebAssembly: node answer.mjs MICROPYTHON
// Each line of JSON on standard input is carried out and answered by one (desk/in_time.py).
import { readFileSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath, pathToFileURL } from "node:url";

const firmware = dirname(dirname(fileURLToPath(import.meta.url)));
const { loadMicroPython } = await import(pathToFileURL(process.argv[2]));
const interpreter = await loadMicroPython({
  heapsize: 32 * 1024 * 1024,
  stdout: (line) => console.error(line),
});
for (const folder of ["controller", "desk"]) {
  interpreter.FS.mkdir(folder);
  for (const name of readdirSync(join(firmware, folder)).filter((name) => name.endsWith(".py"))) {
    interpreter.FS.writeFile(`${folder}/${name}`, readFileSync(join(firmware, folder, name)));
  }
}
interpreter.runPython(`
from desk.in_time import BoardInTime, answer

board = BoardInTime()

def carry_out(asked):
    return answer(board, asked)
`);
const carryOut = interpreter.globals.get("carry_out");
for await (const asked of createInterface({ input: process.stdin })) {
  let told;
  try {
    told = carryOut(asked);
  } catch (error) {
    console.error(error.message); // without the source of MicroPython, which is one long line
    process.exit(1);
  }
  process.stdout.write(`${told}\n`);
}
