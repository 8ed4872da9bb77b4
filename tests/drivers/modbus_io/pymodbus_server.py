"""A lock-plate controller built on pymodbus, which we did not write: `pymodbus_server.py tcp` or `… rtu PORT`.

Writing coil n on lowers plate n: the coil is cleared, input n goes on, input register n counts. A car stands in bay 0.
Prints its port when it is ready.
"""

import asyncio
import sys

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

CHANNELS = 8
WRITE_COIL = 5
PLATES, CARS, HOLDS = 0, 100, 200


class Controller:
    def __init__(self):
        self.counts = [0] * CHANNELS
        self.server = None
        self.tasks = set()

    async def on_access(self, function_code, _start, address, _count, _registers, values) -> ExcCodes | None:
        if function_code == WRITE_COIL and values is not None and values[0] and address < CHANNELS:
            task = asyncio.get_running_loop().create_task(self.lower(address))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)
        return None

    async def lower(self, channel):
        self.counts[channel] += 1
        await self.server.async_setValues(1, 2, channel, [True])
        await self.server.async_setValues(1, 4, channel, [self.counts[channel]])
        await self.server.async_setValues(1, 15, channel, [False])


async def main(framing, port=""):
    bits = DataType.BITS
    controller = Controller()
    device = SimDevice(
        id=1,
        simdata=(
            [
                SimData(PLATES, values=[False] * CHANNELS, datatype=bits),
                SimData(HOLDS, values=[False] * CHANNELS, datatype=bits),
            ],
            [
                SimData(PLATES, values=[False] * CHANNELS, datatype=bits),
                SimData(CARS, values=[True] + [False] * 7, datatype=bits),
            ],
            [SimData(0, count=CHANNELS, values=0, datatype=DataType.REGISTERS)],
            [SimData(0, count=CHANNELS, values=0, datatype=DataType.REGISTERS)],
        ),
        action=controller.on_access,
    )
    if framing == "rtu":
        controller.server = ModbusSerialServer(device, port=port, baudrate=19200)
    else:
        controller.server = ModbusTcpServer(device, address=("127.0.0.1", 0))
    await controller.server.serve_forever(background=True)
    transport = controller.server.transport
    sys.stdout.write(f"{port or transport.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await controller.server.serving


asyncio.run(main(*sys.argv[1:]))
