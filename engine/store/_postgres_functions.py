"""What the database does itself, in one round trip: a batch of commits, and taking a stream.

Laws of this file:
- Locks are taken in one order everywhere: owners, streams, aliases, each by name. So batches of
  several nodes wait for each other and never in a circle.
- Who is refused is decided behind the locks and before anything is written.
- What a lock cannot cover, since it is not there yet (a new stream, a new alias), collides on its
  key: the whole batch is undone, and its writer sends it again.
- A new version of a function is a migration, as a table's is.
"""

from __future__ import annotations

from typing import Final

# A batch that is not the one behind the writer's last: it is another's, or comes too late.
WRONG_BATCH: Final = "MO001"

COMMIT_BATCH: Final = """
CREATE FUNCTION commit_batch(
    p_writer bigint, p_batch bigint, p_now_ms bigint,
    -- One for each commit; owner and what follows are null for one without a row.
    p_stream text[], p_kind text[], p_epoch bigint[], p_expected bigint[], p_count bigint[],
    p_owner text[], p_status text[], p_created bigint[], p_updated bigint[], p_due bigint[],
    p_tags text[], p_summary bytea[],
    -- Their events, snapshots, claims and releases; each names its commit, counted from 1.
    e_item int[], e_seq bigint[], e_type text[], e_at bigint[], e_body bytea[],
    s_item int[], s_seq bigint[], s_body bytea[],
    c_item int[], c_stream text[], c_alias text[], c_payload bytea[], c_expires bigint[],
    r_item int[], r_alias text[]
) RETURNS TABLE (item int, why text, found bigint, alias text, holder text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    fine boolean[];  -- by commit: whether it is written
    nos bigint[];    -- by commit: its stream's number, 0 for a new stream
    retag boolean[]; -- by commit: whether its tags are to be replaced
    refusals jsonb;
    fresh bigint;
    wanted bigint;
    written bigint;
BEGIN
    UPDATE writers w SET batch = p_batch, refused = NULL
        WHERE w.writer = p_writer AND w.batch = p_batch - 1;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'batch % is not the next one', p_batch USING ERRCODE = 'MO001';
    END IF;

    PERFORM FROM owners o WHERE o.stream = ANY (p_stream) ORDER BY o.stream FOR SHARE;
    PERFORM FROM streams s WHERE s.stream = ANY (p_stream) ORDER BY s.stream FOR NO KEY UPDATE;
    IF cardinality(c_alias) + cardinality(r_alias) > 0 THEN
        PERFORM FROM aliases a WHERE a.alias = ANY (c_alias || r_alias)
            ORDER BY a.alias FOR UPDATE;
    END IF;

    SELECT array_agg(d.why IS NULL ORDER BY d.item),
        array_agg(coalesce(d.no, 0) ORDER BY d.item),
        array_agg(d.retag ORDER BY d.item),
        jsonb_agg(jsonb_build_object('item', d.item, 'why', d.why, 'found', d.found,
            'alias', d.alias, 'holder', d.holder)) FILTER (WHERE d.why IS NOT NULL),
        count(*) FILTER (WHERE d.why IS NULL AND d.no IS NULL)
    INTO fine, nos, retag, refusals, fresh
    FROM (
        SELECT i.item, s.no, h.alias, h.holder,
            CASE WHEN o.epoch <> i.epoch OR o.expires_at <= clock_timestamp() THEN 'owner'
                WHEN i.epoch < s.epoch THEN 'epoch'
                WHEN i.expected <> coalesce(s.seq, 0) THEN 'seq'
                WHEN h.alias IS NOT NULL THEN 'alias' END AS why,
            CASE WHEN o.epoch <> i.epoch THEN o.epoch
                WHEN i.epoch < s.epoch THEN s.epoch
                WHEN o.expires_at <= clock_timestamp() THEN o.epoch
                ELSE coalesce(s.seq, 0) END AS found,
            i.owner IS NOT NULL AND (s.owner IS NULL OR s.tags <> i.tags
                OR s.status <> i.status OR s.created_at_ms <> i.created) AS retag
        FROM unnest(p_stream, p_epoch, p_expected, p_owner, p_status, p_created, p_tags)
            WITH ORDINALITY i (stream, epoch, expected, owner, status, created, tags, item)
        LEFT JOIN owners o ON o.stream = i.stream
        LEFT JOIN streams s ON s.stream = i.stream
        LEFT JOIN (
            SELECT DISTINCT ON (c.item) c.item, c.alias, t.stream AS holder
            FROM unnest(c_item, c_stream, c_alias)
                WITH ORDINALITY c (item, stream, alias, place)
            JOIN aliases a ON a.alias = c.alias
                AND (a.expires_at_ms IS NULL OR a.expires_at_ms > p_now_ms)
            JOIN streams t ON t.no = a.no AND t.stream <> c.stream
            ORDER BY c.item, c.place
        ) h ON h.item = i.item
    ) d;

    UPDATE streams s SET seq = i.expected + i.count, epoch = i.epoch,
        owner = coalesce(i.owner, s.owner), status = coalesce(i.status, s.status),
        created_at_ms = coalesce(i.created, s.created_at_ms),
        updated_at_ms = coalesce(i.updated, s.updated_at_ms),
        due_at_ms = CASE WHEN i.owner IS NULL THEN s.due_at_ms ELSE i.due END,
        tags = coalesce(i.tags, s.tags), summary = coalesce(i.summary, s.summary)
    FROM unnest(p_epoch, p_expected, p_count, p_owner, p_status, p_created, p_updated, p_due,
            p_tags, p_summary, nos, fine) WITH ORDINALITY i (epoch, expected, count, owner,
            status, created, updated, due, tags, summary, no, fine, item)
    WHERE s.no = i.no AND i.fine;

    IF fresh > 0 THEN
        INSERT INTO streams (stream, kind, seq, epoch, owner, status, created_at_ms,
            updated_at_ms, due_at_ms, tags, summary)
        SELECT i.stream, i.kind, i.count, i.epoch, i.owner, i.status, i.created, i.updated,
            i.due, i.tags, i.summary
        FROM unnest(p_stream, p_kind, p_epoch, p_count, p_owner, p_status, p_created, p_updated,
            p_due, p_tags, p_summary, nos, fine) i (stream, kind, epoch, count, owner, status,
            created, updated, due, tags, summary, no, fine)
        WHERE i.no = 0 AND i.fine ORDER BY i.stream;

        SELECT array_agg(coalesce(s.no, 0) ORDER BY i.item) INTO nos
        FROM unnest(p_stream) WITH ORDINALITY i (stream, item)
        LEFT JOIN streams s ON s.stream = i.stream;
    END IF;

    IF true = ANY (retag) THEN
        DELETE FROM tags t USING unnest(nos, fine, retag) i (no, fine, retag)
            WHERE t.no = i.no AND i.fine AND i.retag;
        INSERT INTO tags (no, name, value, kind, status, created_at_ms, stream)
        SELECT i.no, x.key, x.value, i.kind, i.status, i.created, i.stream
        FROM unnest(p_stream, p_kind, p_status, p_created, p_tags, nos, fine, retag)
            i (stream, kind, status, created, tags, no, fine, retag),
            jsonb_each_text(i.tags::jsonb) x
        WHERE i.fine AND i.retag;
    END IF;

    INSERT INTO events (no, seq, type, at_ms, body)
    SELECT nos[e.item], e.seq, e.type, e.at, e.body
    FROM unnest(e_item, e_seq, e_type, e_at, e_body) e (item, seq, type, at, body)
    WHERE fine[e.item];

    IF cardinality(s_item) > 0 THEN
        INSERT INTO snapshots (no, seq, body)
        SELECT nos[n.item], n.seq, n.body FROM unnest(s_item, s_seq, s_body) n (item, seq, body)
        WHERE fine[n.item]
        ON CONFLICT (no) DO UPDATE SET seq = excluded.seq, body = excluded.body;
    END IF;

    IF cardinality(r_item) > 0 THEN
        DELETE FROM aliases a USING unnest(r_item, r_alias) r (item, alias)
            WHERE a.alias = r.alias AND a.no = nos[r.item] AND fine[r.item];
    END IF;

    IF cardinality(c_item) > 0 THEN
        SELECT count(*) INTO wanted FROM unnest(c_item) c (item) WHERE fine[c.item];
        INSERT INTO aliases AS a (alias, no, payload, expires_at_ms)
        SELECT c.alias, nos[c.item], c.payload, c.expires
        FROM unnest(c_item, c_alias, c_payload, c_expires) c (item, alias, payload, expires)
        WHERE fine[c.item] ORDER BY c.alias
        ON CONFLICT (alias) DO UPDATE SET no = excluded.no, payload = excluded.payload,
            expires_at_ms = excluded.expires_at_ms
            WHERE a.no = excluded.no OR a.expires_at_ms <= p_now_ms;
        GET DIAGNOSTICS written = ROW_COUNT;
        IF written <> wanted THEN
            RAISE EXCEPTION 'an alias was claimed meanwhile'
                USING ERRCODE = 'serialization_failure';
        END IF;
    END IF;

    IF refusals IS NOT NULL THEN
        UPDATE writers w SET refused = refusals WHERE w.writer = p_writer;
        RETURN QUERY SELECT x.item, x.why, x.found, x.alias, x.holder
            FROM jsonb_to_recordset(refusals)
                AS x (item int, why text, found bigint, alias text, holder text);
    END IF;
END
$$;
"""

# Ends the doubt about a batch whose answer was lost: waits for it if it still runs, says whether it
# was written, and sees to it that it never will be if it was not.
SETTLE: Final = """
CREATE FUNCTION settle(p_writer bigint, p_batch bigint)
RETURNS TABLE (written boolean, refused jsonb) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    last writers;
BEGIN
    SELECT * INTO last FROM writers w WHERE w.writer = p_writer FOR UPDATE;
    IF FOUND THEN
        UPDATE writers w SET batch = p_batch + 1, refused = NULL WHERE w.writer = p_writer;
        RETURN QUERY SELECT last.batch = p_batch, last.refused;
    END IF;
END
$$;
"""

# Takes a stream for a node, under an epoch of its own that fences off every one before: when nobody
# has it, when its lease is over, or when the node had it already. Returns who has it now.
OWN: Final = """
CREATE FUNCTION own(p_stream text, p_node text, p_lease_s float)
RETURNS TABLE (epoch bigint, node text, left_s float) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    mine bigint;
BEGIN
    INSERT INTO owners AS o (stream, node, epoch, expires_at)
    VALUES (p_stream, p_node, nextval('epochs'), clock_timestamp() + p_lease_s * interval '1 s')
    ON CONFLICT (stream) DO UPDATE SET node = excluded.node, epoch = excluded.epoch,
        expires_at = clock_timestamp() + p_lease_s * interval '1 s'
        WHERE o.node = excluded.node OR o.expires_at <= clock_timestamp()
    RETURNING o.epoch INTO mine;
    IF mine IS NOT NULL THEN
        UPDATE streams s SET epoch = mine WHERE s.stream = p_stream AND s.epoch < mine;
    END IF;
    RETURN QUERY SELECT o.epoch, o.node,
            extract(epoch FROM o.expires_at - clock_timestamp())::float
        FROM owners o WHERE o.stream = p_stream;
END
$$;
"""
