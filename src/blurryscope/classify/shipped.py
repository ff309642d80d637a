"""Which network comes with the package, told without loading torch."""

SHIPPED = "corenet-2"
