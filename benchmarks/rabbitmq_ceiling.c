// What a RabbitMQ does when there is nothing but RabbitMQ: a drain without a worker.
//
//   rabbitmq_ceiling PORT VHOST QUEUE COUNT PREFETCH    so many deliveries under this prefetch, each acknowledged
//
// Prints messages per second. Acknowledgements go out half a prefetch at a time, with `multiple`: no consumer asks less of the server.
#include <amqp.h>
#include <amqp_tcp_socket.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

static void fail(const char *what) {
    fprintf(stderr, "rabbitmq_ceiling: %s failed\n", what);
    exit(1);
}

static void expect(amqp_connection_state_t connection, const char *what) {
    if (amqp_get_rpc_reply(connection).reply_type != AMQP_RESPONSE_NORMAL) fail(what);
}

static amqp_connection_state_t open_connection(int port, const char *vhost) {
    amqp_connection_state_t connection = amqp_new_connection();
    amqp_socket_t *socket = amqp_tcp_socket_new(connection);
    if (!socket || amqp_socket_open(socket, "127.0.0.1", port)) fail("connect");
    amqp_rpc_reply_t reply = amqp_login(connection, vhost, 0, 131072, 0, AMQP_SASL_METHOD_PLAIN, "guest", "guest");
    if (reply.reply_type != AMQP_RESPONSE_NORMAL) fail("login");
    amqp_channel_open(connection, 1);
    expect(connection, "channel.open");
    return connection;
}

static void drain(amqp_connection_state_t connection, const char *queue, uint64_t count, uint16_t prefetch) {
    amqp_basic_qos(connection, 1, 0, prefetch, 0);
    expect(connection, "basic.qos");
    amqp_basic_consume(connection, 1, amqp_cstring_bytes(queue), amqp_empty_bytes, 0, 0, 0, amqp_empty_table);
    expect(connection, "basic.consume");
    uint64_t step = prefetch > 1 ? prefetch / 2 : 1, tag = 0, acknowledged = 0;
    for (uint64_t got = 1; got <= count; got++) {
        amqp_envelope_t envelope;
        amqp_maybe_release_buffers(connection);
        if (amqp_consume_message(connection, &envelope, NULL, 0).reply_type != AMQP_RESPONSE_NORMAL) fail("deliver");
        tag = envelope.delivery_tag;
        amqp_destroy_envelope(&envelope);
        if (got - acknowledged >= step || got == count) {
            if (amqp_basic_ack(connection, 1, tag, 1)) fail("ack");
            acknowledged = got;
        }
    }
    // Answered behind the last acknowledgement: all have been processed.
    amqp_basic_qos(connection, 1, 0, prefetch, 0);
    expect(connection, "the last acknowledgement");
}

int main(int argc, char **argv) {
    if (argc != 6) fail("reading the arguments");
    amqp_connection_state_t connection = open_connection(atoi(argv[1]), argv[2]);
    uint64_t count = strtoull(argv[4], NULL, 10);
    double start = now();
    drain(connection, argv[3], count, (uint16_t)atoi(argv[5]));
    printf("%.1f\n", (double)count / (now() - start));
    amqp_connection_close(connection, AMQP_REPLY_SUCCESS);
    amqp_destroy_connection(connection);
    return 0;
}
