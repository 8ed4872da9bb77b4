/* A lock-plate controller built on libmodbus, which we did not write: `server tcp` or `server rtu PORT`.
 *
 * Writing coil n on lowers plate n: the coil is cleared, input n goes on, input register n counts. A car stands in
 * bay 0. Prints its port when it is ready; ends with the signal that its starter sends.
 */
#include <errno.h>
#include <modbus/modbus.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CHANNELS = 8, CARS = 100, HOLDS = 200, SIZE = 256 };

static void act(modbus_mapping_t *map) {
    for (int channel = 0; channel < CHANNELS; channel++) {
        if (map->tab_bits[channel]) {
            map->tab_bits[channel] = 0;
            map->tab_input_bits[channel] = 1;
            map->tab_input_registers[channel]++;
        }
    }
}

static int serve(modbus_t *bus, modbus_mapping_t *map) {
    uint8_t request[MODBUS_MAX_ADU_LENGTH];
    for (;;) {
        int size = modbus_receive(bus, request);
        if (size < 0)
            return -1;
        if (size == 0)
            continue; /* a request for another unit */
        if (modbus_reply(bus, request, size, map) < 0)
            return -1;
        act(map);
    }
}

static int serve_tcp(modbus_mapping_t *map) {
    modbus_t *bus = modbus_new_tcp("127.0.0.1", 0);
    int listener = bus ? modbus_tcp_listen(bus, 4) : -1;
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    if (listener < 0 || getsockname(listener, (struct sockaddr *)&address, &size) < 0)
        return 1;
    modbus_set_slave(bus, 1);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    while (modbus_tcp_accept(bus, &listener) >= 0) {
        serve(bus, map);
        modbus_close(bus);
    }
    return 1;
}

static int serve_rtu(const char *port, modbus_mapping_t *map) {
    modbus_t *bus = modbus_new_rtu(port, 19200, 'N', 8, 1);
    if (!bus || modbus_set_slave(bus, 1) < 0 || modbus_connect(bus) < 0)
        return 1;
    printf("%s\n", port);
    fflush(stdout);
    for (;;)
        if (serve(bus, map) < 0)
            modbus_flush(bus);
}

int main(int argc, char **argv) {
    modbus_mapping_t *map = modbus_mapping_new(SIZE, SIZE, 0, CHANNELS);
    if (!map || argc < 2) {
        fprintf(stderr, "usage: server tcp | server rtu PORT (%s)\n", modbus_strerror(errno));
        return 2;
    }
    map->tab_input_bits[CARS] = 1;
    return strcmp(argv[1], "rtu") ? serve_tcp(map) : argc > 2 ? serve_rtu(argv[2], map) : 2;
}
