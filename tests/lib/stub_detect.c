/* SPDX-License-Identifier: Apache-2.0 */
/* Stands in for detectors, correlation and encoders while those rooms are empty. */
#include "detect/correlate.h"
#include "encode/enc_ocsf.h"

#define STUB(id, name, code) const struct sw_detector sw_det_##name = { #name, code, .tables = { { .spec = { 0 } } } };
SW_DETECTOR_MAP(STUB)
#undef STUB
const struct sw_detector *const sw_detectors[SW_N_DETECTORS] = {
#define STUB(id, name, code) &sw_det_##name,
        SW_DETECTOR_MAP(STUB)
#undef STUB
};
int sw_detect_init(struct sw_detect *d, const struct sw_detector_conf *conf, uint64_t n, const struct sw_hash_key *key,
        struct sw_err *reterr)
{
        (void)n, (void)key, (void)reterr;
        *d = (struct sw_detect){ .conf = conf };
        return 0;
}
void sw_detect_deinit(struct sw_detect *d)
{
        (void)d;
}
void sw_detect_set_conf(struct sw_detect *d, const struct sw_detector_conf *conf)
{
        d->conf = conf;
}
int sw_detect_event(
        struct sw_detect *d, const struct sw_view *v, const struct sw_conn_event *ev, struct sw_signals *out)
{
        (void)d, (void)v, (void)ev, (void)out;
        return 0;
}
int sw_detect_minute(struct sw_detect *d, const struct sw_view *v, struct sw_etime now, struct sw_signals *out)
{
        (void)d, (void)v, (void)now, (void)out;
        return 0;
}
struct sw_correlate {
        int x;
};
int sw_correlate_new(const struct sw_correlate_conf *conf, const struct sw_detector_conf *detectors, uint64_t n,
        const struct sw_hash_key *key, struct sw_correlate **ret)
{
        (void)conf, (void)detectors, (void)n, (void)key;
        *ret = sw_calloc(1, sizeof(**ret));
        return 0;
}
struct sw_correlate *sw_correlate_free(struct sw_correlate *c)
{
        sw_free(c);
        return NULL;
}
void sw_correlate_set_conf(
        struct sw_correlate *c, const struct sw_correlate_conf *conf, const struct sw_detector_conf *detectors)
{
        (void)c, (void)conf, (void)detectors;
}
int sw_correlate_signal(
        struct sw_correlate *c, struct sw_view *v, const struct sw_signal *s, sw_finding_sink emit, void *ctx)
{
        (void)c, (void)v, (void)s, (void)emit, (void)ctx;
        return 0;
}
struct sw_etime sw_correlate_next(const struct sw_correlate *c)
{
        (void)c;
        return SW_ETIME_NONE;
}
int sw_correlate_advance(
        struct sw_correlate *c, struct sw_view *v, struct sw_etime now, sw_finding_sink emit, void *ctx)
{
        (void)c, (void)v, (void)now, (void)emit, (void)ctx;
        return 0;
}
struct sw_correlate_stats sw_correlate_stats(const struct sw_correlate *c)
{
        (void)c;
        return (struct sw_correlate_stats){ 0 };
}
void sw_enc_ocsf(struct sw_buf *out, const struct sw_finding *f, const char *version)
{
        (void)out, (void)f, (void)version;
}
void sw_enc_signal(struct sw_buf *out, const struct sw_signal_line *l)
{
        (void)out, (void)l;
}
