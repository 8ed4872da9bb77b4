"""Exit devices on Modbus: relay boards with inputs, and lock-plate controllers (class C). See README.md."""
