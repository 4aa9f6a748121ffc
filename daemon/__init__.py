"""Toveis: contacts and companies kept the same in Vitec and in Propstreet, through an append-only log.

    Vitec notifications, polls ┐                                                  ┌► Vitec Connect
    Propstreet webhooks, polls ┴► ingest ─► event log ─► project ─► react ─► deliver ┴► Propstreet

Stages meet only in the database. The pure rooms (`domain`, `mappings`, `policies` and the `projections` beside this
package) decide; the stages act. Nothing is imported here, so that the command line starts fast.
"""
