/* SPDX-License-Identifier: Apache-2.0 */
#include "sink/stream.h"

#include "clock.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum how { READS, READS_ONCE, CLOSES_AT_ONCE, NEVER_READS, SAYS_SOMETHING, CLOSES_AFTER_HANDSHAKE };

/* Takes one connection after another, in a thread. */
struct peer {
        enum how how;
        SSL_CTX *tls;
        int fd;
        unsigned late_us; /* until it has judged a client's certificate, or that there is none */
        char port[8];
        atomic_bool stop;
        atomic_uint last;    /* port of the connection after which it ends */
        atomic_uint n_ended; /* connections that it closed */
        atomic_bool may_end; /* READS_ONCE: not before what was sent is known to be */
        unsigned n_connections;
        size_t n_bytes;
        char text[256], client[64];
        pthread_t thread;
};

static char dir[64];
static char key_path[96], cert_path[96], both_path[96], wrong_path[96];

static void in_a_folder(void)
{
        snprintf(dir, sizeof(dir), "/tmp/segwatch-stream-XXXXXX");
        cr_assert(mkdtemp(dir));
        signal(SIGPIPE, SIG_IGN); /* as the daemon does */
        snprintf(key_path, sizeof(key_path), "%s/key.pem", dir);
        snprintf(cert_path, sizeof(cert_path), "%s/cert.pem", dir);
        snprintf(both_path, sizeof(both_path), "%s/both.pem", dir);
        snprintf(wrong_path, sizeof(wrong_path), "%s/wrong.pem", dir);
}

static void remove_folder(void)
{
        char command[96];

        snprintf(command, sizeof(command), "rm -rf %s", dir);
        cr_assert_eq(system(command), 0);
}

TestSuite(stream, .init = in_a_folder, .fini = remove_folder);

static void make_certificate(void)
{
        char command[1024];

        snprintf(command, sizeof(command),
                "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout %s -out %s -days 2 -subj "
                "/CN=tester -addext subjectAltName=DNS:localhost,IP:127.0.0.1 2>/dev/null && cat %s %s > %s && echo no "
                "key "
                "> %s",
                key_path, cert_path, key_path, cert_path, both_path, wrong_path);
        cr_assert_eq(system(command), 0);
}

static void peer_judge(int sent, int version, int type, const void *p, size_t n, SSL *ssl, void *ctx)
{
        const struct peer *peer = ctx;

        (void)version, (void)ssl;
        if (!sent && type == SSL3_RT_HANDSHAKE && n > 0 && *(const unsigned char *)p == SSL3_MT_CERTIFICATE)
                usleep(peer->late_us);
}

static void peer_read(struct peer *p, int c)
{
        SSL *ssl = p->tls ? SSL_new(p->tls) : NULL;
        char chunk[4096];
        X509 *x;
        ssize_t n;

        if (ssl) {
                SSL_set_fd(ssl, c);
                if (SSL_accept(ssl) != 1) {
                        SSL_free(ssl);
                        return;
                }
                x = SSL_get1_peer_certificate(ssl);
                if (x)
                        X509_NAME_oneline(X509_get_subject_name(x), p->client, sizeof(p->client));
                X509_free(x);
                if (p->how == CLOSES_AFTER_HANDSHAKE) {
                        SSL_free(ssl);
                        return;
                }
        }
        if (p->how == SAYS_SOMETHING)
                (void)!(ssl ? (ssize_t)SSL_write(ssl, "hello", 5) : write(c, "hello", 5));
        do {
                n = ssl ? SSL_read(ssl, chunk, sizeof(chunk)) : read(c, chunk, sizeof(chunk));
                if (n > 0 && p->n_bytes + (size_t)n < sizeof(p->text))
                        memcpy(p->text + p->n_bytes, chunk, (size_t)n);
                p->n_bytes += n > 0 ? (size_t)n : 0;
        } while (n > 0 && p->how != READS_ONCE);
        while (p->how == READS_ONCE && !atomic_load(&p->may_end) && !atomic_load(&p->stop))
                usleep(1000);
        if (ssl)
                SSL_shutdown(ssl);
        SSL_free(ssl);
}

static void *peer_serve(void *ctx)
{
        struct peer *p = ctx;
        struct sockaddr_in from;
        socklen_t n = sizeof(from);
        int c;

        while ((c = accept(p->fd, (struct sockaddr *)&from, &n)) >= 0) {
                if (ntohs(from.sin_port) == atomic_load(&p->last)) {
                        close(c);
                        break;
                }
                p->n_connections++;
                if (p->how == NEVER_READS) {
                        while (!atomic_load(&p->stop))
                                usleep(10000);
                } else if (p->how != CLOSES_AT_ONCE) {
                        peer_read(p, c);
                }
                close(c);
                atomic_fetch_add(&p->n_ended, 1);
        }
        return NULL;
}

static void peer_start(struct peer *p, enum how how, bool tls)
{
        struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t n = sizeof(a);
        int small = 4096;

        memset(p, 0, sizeof(*p));
        p->how = how;
        if (tls) {
                p->tls = SSL_CTX_new(TLS_server_method());
                cr_assert_eq(SSL_CTX_use_certificate_file(p->tls, cert_path, SSL_FILETYPE_PEM), 1);
                cr_assert_eq(SSL_CTX_use_PrivateKey_file(p->tls, key_path, SSL_FILETYPE_PEM), 1);
                SSL_CTX_set_verify(p->tls, SSL_VERIFY_PEER, NULL);
                SSL_CTX_load_verify_file(p->tls, cert_path);
        }
        p->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        setsockopt(p->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
        cr_assert_eq(bind(p->fd, (struct sockaddr *)&a, n), 0);
        cr_assert_eq(listen(p->fd, 8), 0);
        getsockname(p->fd, (struct sockaddr *)&a, &n);
        snprintf(p->port, sizeof(p->port), "%u", ntohs(a.sin_port));
        cr_assert_eq(pthread_create(&p->thread, NULL, peer_serve, p), 0);
}

/* Before the first connection: it wants a certificate of this version of TLS, sends so many tickets, and is late. */
static void peer_wants(struct peer *p, int version, size_t n_tickets, unsigned late_us)
{
        p->late_us = late_us;
        SSL_CTX_set_verify(p->tls, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
        SSL_CTX_set_max_proto_version(p->tls, version);
        SSL_CTX_set_num_tickets(p->tls, n_tickets);
        SSL_CTX_set_msg_callback(p->tls, peer_judge);
        SSL_CTX_set_msg_callback_arg(p->tls, p);
}

static void peer_stop(struct peer *p)
{
        struct sockaddr_in a;
        socklen_t n = sizeof(a);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        getsockname(p->fd, (struct sockaddr *)&a, &n);
        a.sin_port = 0;
        cr_assert_eq(bind(fd, (struct sockaddr *)&a, n), 0);
        getsockname(fd, (struct sockaddr *)&a, &n);
        atomic_store(&p->last, ntohs(a.sin_port));
        atomic_store(&p->stop, true);
        getsockname(p->fd, (struct sockaddr *)&a, &n);
        cr_assert_eq(connect(fd, (struct sockaddr *)&a, n), 0); /* behind those that wait */
        pthread_join(p->thread, NULL);
        close(fd);
        close(p->fd);
        SSL_CTX_free(p->tls);
}

/* ---- our end ---- */

struct end {
        struct sw_loop *loop;
        struct sw_stream *stream;
        struct sw_watch *timer;
        int n;
        bool ok;
        enum sw_courier_verdict verdict;
        char reason[512];
};

static void end_done(void *ctx, enum sw_courier_verdict verdict, const char *reason)
{
        struct end *e = ctx;

        e->n++;
        e->ok = verdict == SW_COURIER_DELIVERED;
        e->verdict = verdict;
        snprintf(e->reason, sizeof(e->reason), "%s", reason);
        sw_loop_stop(e->loop);
}

static void end_stop(void *ctx)
{
        sw_loop_stop(((struct end *)ctx)->loop);
}

static void end_open(struct end *e, struct sw_stream_conf conf)
{
        *e = (struct end){ 0 };
        conf.name = "s";
        conf.timeout_ms = conf.timeout_ms ? conf.timeout_ms : 10000;
        conf.done = end_done;
        conf.ctx = e;
        cr_assert_eq(sw_loop_new(&e->loop), 0);
        cr_assert_eq(sw_stream_new(&conf, e->loop, &e->stream), 0);
}

static void end_send(struct end *e, const char *text)
{
        int n = e->n;

        sw_stream_send(e->stream, sw_str_of(text));
        sw_loop_run(e->loop);
        cr_assert_eq(e->n, n + 1);
}

/* Lets the loop run for a while. */
static void end_wait(struct end *e, int64_t ms)
{
        cr_assert_eq(sw_loop_timer(e->loop, ms, 0, end_stop, e, &e->timer), 0);
        sw_loop_run(e->loop);
        e->timer = sw_watch_close(e->timer);
}

static void end_close(struct end *e)
{
        sw_stream_stop(e->stream);
        sw_stream_stop(e->stream);
        e->loop = sw_loop_free(e->loop);
        e->stream = sw_stream_free(e->stream);
}

#define TCP(h, p) ((struct sw_stream_conf){ .kind = SW_STREAM_TCP, .host = (h), .port = (p) })

Test(stream, sends_over_one_connection)
{
        struct peer p;
        struct end e;

        peer_start(&p, READS, false);
        end_open(&e, TCP("127.0.0.1", p.port));
        end_send(&e, "one ");
        cr_assert(e.ok, "%s", e.reason);
        end_send(&e, "two");
        cr_assert(e.ok);
        end_send(&e, "");
        cr_assert(e.ok, "nothing only connects");
        end_close(&e);
        peer_stop(&p);
        cr_assert_str_eq(p.text, "one two");
        cr_assert_eq(p.n_connections, 1);
}

Test(stream, a_connection_that_was_closed_is_made_anew)
{
        struct peer p;
        struct end e;

        peer_start(&p, CLOSES_AT_ONCE, false);
        end_open(&e, TCP("127.0.0.1", p.port));
        end_send(&e, "");
        end_wait(&e, 100); /* its end is seen while nothing is sent, and nobody is told */
        cr_assert_eq(e.n, 1);
        p.how = SAYS_SOMETHING;
        end_send(&e, "again");
        cr_assert(e.ok, "%s", e.reason);
        end_wait(&e, 50); /* what it says is thrown away */
        end_send(&e, " more");
        cr_assert(e.ok, "%s", e.reason);
        end_close(&e);
        peer_stop(&p);
        cr_assert_eq(p.n_connections, 2);
        cr_assert_str_eq(p.text, "again more");
}

Test(stream, what_cannot_be_reached_is_named)
{
        struct end e;

        end_open(&e, TCP("127.0.0.1", "1"));
        end_send(&e, "x");
        cr_assert_not(e.ok);
        cr_assert_str_eq(e.reason, "127.0.0.1:1: connect: Connection refused");
        end_close(&e);
        end_open(&e, TCP("nosuch.invalid", "1"));
        end_send(&e, "x");
        cr_assert(strstr(e.reason, "nosuch.invalid:1: name: "), "%s", e.reason);
        end_close(&e);
}

Test(stream, who_never_reads_is_not_waited_for)
{
        struct sw_stream_conf conf;
        char *much = malloc((8 << 20) + 1);
        struct peer p;
        struct end e;

        memset(much, 'x', 8 << 20);
        much[8 << 20] = '\0';
        peer_start(&p, NEVER_READS, false);
        conf = TCP("127.0.0.1", p.port);
        conf.timeout_ms = 300;
        end_open(&e, conf);
        end_send(&e, much);
        cr_assert_not(e.ok);
        cr_assert(strstr(e.reason, "send: not in time"), "%s", e.reason);
        sw_stream_send(e.stream, sw_str_of(much));
        end_wait(&e, 100);
        sw_stream_reset(e.stream); /* given up: nobody is told */
        end_wait(&e, 400);
        cr_assert_eq(e.n, 1);
        end_close(&e);
        peer_stop(&p);
        free(much);
}

Test(stream, all_of_much_arrives)
{
        char *much = malloc((2 << 20) + 1);
        struct peer p;
        struct end e;

        memset(much, 'x', 2 << 20);
        much[2 << 20] = '\0';
        peer_start(&p, READS, false);
        end_open(&e, TCP("localhost", p.port));
        end_send(&e, much);
        cr_assert(e.ok, "%s", e.reason);
        end_close(&e);
        peer_stop(&p);
        cr_assert_eq(p.n_bytes, 2 << 20);
        free(much);
}

Test(stream, given_up_while_the_name_is_looked_up)
{
        struct peer p;
        struct end e;

        peer_start(&p, READS, false);
        end_open(&e, TCP("127.0.0.1", p.port));
        sw_stream_send(e.stream, SW_STR("lost"));
        end_wait(&e, 0);
        sw_stream_reset(e.stream);
        end_send(&e, "sent");
        cr_assert(e.ok, "%s", e.reason);
        sw_stream_reset(e.stream);
        sw_stream_send(e.stream, SW_STR("never"));
        end_wait(&e, 0);
        end_close(&e); /* while it is looked up */
        peer_stop(&p);
        cr_assert_str_eq(p.text, "sent");
        cr_assert_null(sw_stream_free(NULL));
        sw_stream_stop(NULL);
}

/* ---- datagrams ---- */

Test(stream, datagrams_without_their_frames)
{
        struct sockaddr_un a = { .sun_family = AF_UNIX };
        struct sw_stream_conf conf = { .kind = SW_STREAM_UNIX, .path = a.sun_path, .timeout_ms = 300 };
        char text[64];
        struct end e;
        int fd = socket(AF_UNIX, SOCK_DGRAM, 0), i;

        snprintf(a.sun_path, sizeof(a.sun_path), "%s/log", dir);
        end_open(&e, conf);
        end_send(&e, "1 x");
        cr_assert_not(e.ok);
        cr_assert(strstr(e.reason, "/log: connect: No such file or directory"), "%s", e.reason);
        cr_assert_eq(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
        end_send(&e, "5 hello3 you");
        cr_assert(e.ok, "%s", e.reason);
        cr_assert_eq(recv(fd, text, sizeof(text), MSG_DONTWAIT), 5);
        cr_assert_eq(recv(fd, text, sizeof(text), MSG_DONTWAIT), 3);
        cr_assert_eq(memcmp(text, "you", 3), 0);
        for (i = 0; i < 1000 && e.ok; i++) /* nobody takes them: its queue fills */
                end_send(&e, "5 hello");
        cr_assert_not(e.ok);
        cr_assert(strstr(e.reason, "not in time"), "%s", e.reason);
        close(fd);
        unlink(a.sun_path);
        end_send(&e, "1 x");
        cr_assert_not(e.ok, "nobody listens any more");
        end_close(&e);
}

static void end_send_of(struct end *e, size_t n, bool with_a_small_one)
{
        char *text = malloc(n + 32);
        int head = snprintf(text, 32, "%s%zu ", with_a_small_one ? "5 small" : "", n);

        memset(text + head, 'x', n);
        text[head + (int)n] = '\0';
        end_send(e, text);
        free(text);
}

Test(stream, a_datagram_that_is_too_large_is_told_before_any_is_sent)
{
        struct sockaddr_un a = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_DGRAM, 0), room;
        socklen_t n = sizeof(room);
        char text[64];
        struct end e;

        snprintf(a.sun_path, sizeof(a.sun_path), "%s/log", dir);
        cr_assert_eq(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
        cr_assert_eq(getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, &n), 0);
        end_open(&e, (struct sw_stream_conf){ .kind = SW_STREAM_UNIX, .path = a.sun_path, .timeout_ms = 2000 });
        end_send_of(&e, (size_t)room - 31, true);
        cr_assert_eq(e.verdict, SW_COURIER_TOO_LARGE, "%s", e.reason);
        cr_assert(strstr(e.reason, "datagram"), "%s", e.reason);
        cr_assert_lt(recv(fd, text, sizeof(text), MSG_DONTWAIT), 0);
        end_send_of(&e, (size_t)room - 32, true);
        cr_assert(e.ok, "the largest that goes: %s", e.reason);
        cr_assert_eq(recv(fd, text, sizeof(text), MSG_DONTWAIT), 5);
        cr_assert_eq(recv(fd, text, sizeof(text), MSG_DONTWAIT | MSG_TRUNC), room - 32);
        end_close(&e);
        close(fd);
}

Test(stream, a_unix_socket_that_takes_streams_gets_the_frames)
{
        struct sockaddr_un a = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM, 0), c;
        char text[64] = "";
        struct end e;

        snprintf(a.sun_path, sizeof(a.sun_path), "%s/log", dir);
        cr_assert_eq(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
        cr_assert_eq(listen(fd, 4), 0);
        end_open(&e, (struct sw_stream_conf){ .kind = SW_STREAM_UNIX, .path = a.sun_path, .timeout_ms = 300 });
        end_send(&e, "5 hello3 you");
        cr_assert_not(e.ok, "nobody has read it");
        cr_assert(strstr(e.reason, "not in time"), "%s", e.reason);
        c = accept(fd, NULL, NULL);
        close(c);
        sw_stream_send(e.stream, SW_STR("5 hello3 you"));
        end_wait(&e, 50);
        cr_assert_eq(e.n, 1, "not yet");
        c = accept(fd, NULL, NULL);
        cr_assert_eq(recv(c, text, sizeof(text) - 1, 0), 12);
        cr_assert_str_eq(text, "5 hello3 you");
        sw_loop_run(e.loop);
        cr_assert(e.ok, "%s", e.reason);
        close(c);
        end_wait(&e, 50); /* its end is seen */
        sw_stream_send(e.stream, SW_STR("1 x"));
        end_wait(&e, 50);
        c = accept(fd, NULL, NULL);
        cr_assert_eq(recv(c, text, sizeof(text), 0), 3);
        sw_loop_run(e.loop);
        cr_assert(e.ok, "%s", e.reason);
        end_close(&e);
        close(c);
        close(fd);
}

/* ---- TLS ---- */

static struct sw_stream_conf tls(const char *host, const struct peer *p, const char *ca)
{
        return (struct sw_stream_conf){ .kind = SW_STREAM_TLS, .host = host, .port = p->port, .ca_file = ca };
}

Test(stream, tls_to_a_server_that_shows_who_it_is)
{
        struct sw_stream_conf conf;
        struct peer p;
        struct end e;

        make_certificate();
        peer_start(&p, SAYS_SOMETHING, true);
        end_open(&e, tls("localhost", &p, cert_path));
        end_send(&e, "one ");
        cr_assert(e.ok, "%s", e.reason);
        end_wait(&e, 50);
        end_send(&e, "two ");
        cr_assert(e.ok, "%s", e.reason);
        end_close(&e);
        conf = tls("127.0.0.1", &p, cert_path);
        conf.client_pem.file = both_path;
        end_open(&e, conf);
        end_send(&e, "three");
        cr_assert(e.ok, "%s", e.reason);
        end_close(&e);
        peer_stop(&p);
        cr_assert_str_eq(p.text, "one two three");
        cr_assert_str_eq(p.client, "/CN=tester");
}

static void refused(struct sw_stream_conf conf, const char *why)
{
        struct end e;

        end_open(&e, conf);
        end_send(&e, "secret");
        cr_assert_not(e.ok, "should say: %s", why);
        cr_assert(strstr(e.reason, why), "'%s' does not say: %s", e.reason, why);
        end_close(&e);
}

Test(stream, tls_that_cannot_be_trusted)
{
        struct sw_stream_conf conf;
        struct peer p, plain;

        make_certificate();
        peer_start(&p, READS, true);
        refused(tls("localhost", &p, NULL), "the server's certificate is not accepted: ");
        refused(tls("ip6-localhost", &p, cert_path), ""); /* another name: refused at the connection or by name */
        refused(tls("127.0.0.1", &p, "/nonexistent"), "TLS: ca_file");
        conf = tls("127.0.0.2", &p, cert_path);
        refused(conf, "");
        conf = tls("localhost", &p, cert_path);
        conf.client_pem.file = wrong_path;
        refused(conf, "TLS: client_certificate");
        conf.client_pem.file = cert_path;
        refused(conf, "TLS: client_certificate");
        conf.client_pem.file = dir;
        refused(conf, "secret ");
        peer_stop(&p);
        cr_assert_eq(p.n_bytes, 0, "nothing was told to who could not be trusted");
        peer_start(&plain, CLOSES_AT_ONCE, false);
        refused(tls("localhost", &plain, cert_path), "TLS: handshake: ");
        plain.how = SAYS_SOMETHING;
        refused(tls("localhost", &plain, cert_path), "TLS: handshake: ");
        peer_stop(&plain);
}

Test(stream, tls_that_ends)
{
        struct peer p;
        struct end e;

        make_certificate();
        peer_start(&p, READS_ONCE, true);
        end_open(&e, tls("localhost", &p, cert_path));
        end_send(&e, "one");
        cr_assert(e.ok, "%s", e.reason);
        atomic_store(&p.may_end, true);
        while (!atomic_load(&p.n_ended))
                end_wait(&e, 10);
        end_wait(&e, 100);
        cr_assert_eq(e.n, 1, "its end is nobody's business while nothing is sent");
        atomic_store(&p.may_end, false);
        end_send(&e, "two");
        cr_assert(e.ok, "%s", e.reason);
        end_close(&e);
        peer_stop(&p);
        cr_assert_eq(p.n_connections, 2);
}

/* Without a certificate of ours, which the server finds only a while after our end of the handshake is over. */
static void refused_late(int version, size_t n_tickets, const char *why)
{
        struct peer p;
        struct end e;
        int i;

        peer_start(&p, READS, true);
        peer_wants(&p, version, n_tickets, 200000);
        end_open(&e, tls("localhost", &p, cert_path));
        for (i = 0; i < 2; i++) {
                end_send(&e, "lost");
                cr_expect_eq(e.verdict, SW_COURIER_OUTAGE, "%x, %zu tickets: told as delivered", (unsigned)version,
                        n_tickets);
                cr_expect(strstr(e.reason, why), "'%s' does not say: %s", e.reason, why);
                cr_expect_eq(sw_stream_cause(e.stream), SW_COURIER_CAUSE_TLS);
        }
        end_close(&e);
        peer_stop(&p);
        cr_expect_eq(p.n_bytes, 0);
}

Test(stream, a_server_that_refuses_late_is_an_outage)
{
        make_certificate();
        refused_late(TLS1_2_VERSION, 2, "refused by the server: sslv3 alert handshake failure");
        refused_late(TLS1_3_VERSION, 2, "connection: TLS: refused by the server: tlsv13 alert certificate required");
        refused_late(TLS1_3_VERSION, 0, "connection: TLS: refused by the server: tlsv13 alert certificate required");
}

Test(stream, a_server_that_takes_us_late_is_waited_for_once)
{
        static const struct {
                int version;
                size_t n_tickets;
                int64_t at_least_ms, at_most_ms;
        } rows[] = { { TLS1_2_VERSION, 2, 200, 1900 }, { TLS1_3_VERSION, 2, 400, 1900 },
                { TLS1_3_VERSION, 0, 1900, 6000 } };
        struct sw_stream_conf conf;
        struct peer p;
        struct end e;
        int64_t began, first;
        size_t i;
        int k;

        make_certificate();
        for (i = 0; i < 3; i++) {
                peer_start(&p, READS, true);
                peer_wants(&p, rows[i].version, rows[i].n_tickets, 200000);
                conf = tls("localhost", &p, cert_path);
                conf.client_pem.file = both_path;
                conf.timeout_ms = 1500; /* does not count the waiting */
                end_open(&e, conf);
                began = sw_clock_mono().ms;
                end_send(&e, "one ");
                cr_assert(e.ok, "%zu: %s", i, e.reason);
                first = sw_clock_mono().ms - began;
                cr_expect(first >= rows[i].at_least_ms && first <= rows[i].at_most_ms, "%zu: %lld ms", i,
                        (long long)first);
                began = sw_clock_mono().ms;
                for (k = 0; k < 50; k++) {
                        end_send(&e, "more");
                        cr_assert(e.ok, "%zu: %s", i, e.reason);
                }
                cr_expect_lt(sw_clock_mono().ms - began, 2000, "%zu: each one waits", i);
                end_close(&e);
                peer_stop(&p);
                cr_expect_eq(p.n_bytes, 204);
                cr_expect_eq(p.n_connections, 1);
        }
}

/* As rsyslog does when the certificate is good but the name is none of those it lets in. */
Test(stream, a_server_that_ends_after_the_handshake_has_nothing)
{
        struct peer p;
        struct end e;

        make_certificate();
        peer_start(&p, CLOSES_AFTER_HANDSHAKE, true);
        end_open(&e, tls("localhost", &p, cert_path));
        end_send(&e, "lost");
        cr_assert_eq(e.verdict, SW_COURIER_OUTAGE);
        cr_assert(strstr(e.reason, "the server closed the connection") || strstr(e.reason, "reset"), "%s", e.reason);
        end_close(&e);
        peer_stop(&p);
}
