"""Remove of what was stored before what nobody needs: patients' names, dates of birth, phones, diagnoses, notes.

The rules are those of the version that came with this one, written down here as they were then.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

AT_ONCE = 2000
NEEDLESS = (
    "note$|notes$|^(dob|ssn|patient|patientdob|demographics|name|sex|race|fax|age|zip|city|drugs|vitals|language)$|"
    "firstname|lastname|middlename|fullname|familyname|givenname|patientname|birth|socialsecurity|phone|email|address|"
    "insur|payer|policy|subscriber|member|guarantor|diagnos|icd10|medication|prescription|allerg|immuniz|symptom|"
    "complaint|problemlist|medicalhistory|emergencycontact|gender|ethnic|marital|religion|mobile|zipcode|postalcode"
)
OUTCOME = (
    "'appointment_id', 'id', 'mrn', 'patient_mrn', 'date_time', 'datetime', 'timezone', 'job_id', 'provider_id',"
    " 'provider_ehr_id', 'provider_name', 'secondary_provider_id', 'status'"
)
FUNCTIONS = f"""
CREATE FUNCTION pg_temp.chosen(fields jsonb, names text[]) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
  SELECT coalesce(jsonb_object_agg(key, value), '{{}}') FROM jsonb_each(
    CASE jsonb_typeof(fields) WHEN 'object' THEN fields ELSE '{{}}' END)
  WHERE key = ANY(names) AND jsonb_typeof(value) NOT IN ('object', 'array')
$$;
CREATE FUNCTION pg_temp.without_needless(said jsonb) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  IF jsonb_typeof(said) = 'object' THEN
    RETURN (SELECT coalesce(jsonb_object_agg(key, pg_temp.without_needless(value)), '{{}}') FROM jsonb_each(said)
      WHERE lower(regexp_replace(key, '[^a-zA-Z0-9]', '', 'g')) !~ '{NEEDLESS}');
  ELSIF jsonb_typeof(said) = 'array' THEN
    RETURN (SELECT coalesce(jsonb_agg(pg_temp.without_needless(item)), '[]') FROM jsonb_array_elements(said) AS item);
  END IF;
  RETURN said;
END $$;
CREATE FUNCTION pg_temp.listed(entry jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
  SELECT pg_temp.chosen(entry, ARRAY[{OUTCOME}, 'created_at', 'created_by']) || CASE
    WHEN entry ? 'object_metadata' THEN
      jsonb_build_object('object_metadata', pg_temp.chosen(entry -> 'object_metadata', ARRAY['source']))
    ELSE '{{}}' END
$$;
CREATE FUNCTION pg_temp.lists(said jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
  SELECT coalesce(jsonb_object_agg(key, (
      SELECT coalesce(jsonb_agg(pg_temp.listed(item)), '[]') FROM jsonb_array_elements(value) AS item
      WHERE jsonb_typeof(item) = 'object')), '{{}}')
  FROM jsonb_each(said) WHERE key IN ('appointments', 'results') AND jsonb_typeof(value) = 'array'
$$;
CREATE FUNCTION pg_temp.reduced(kind text, payload jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
  SELECT pg_temp.chosen(payload, ARRAY['id', 'event_id', 'type', 'event_type', 'created', 'created_at',
      'access_token_reference_id', 'job_id', 'object'])
    || CASE WHEN jsonb_typeof(payload -> 'data') = 'object' THEN jsonb_build_object('data', CASE
        WHEN kind = 'appointment.failed' THEN pg_temp.without_needless(payload -> 'data')
        WHEN kind LIKE 'appointment.%' THEN
          pg_temp.chosen(payload -> 'data', ARRAY[{OUTCOME}]) || pg_temp.lists(payload -> 'data')
        WHEN kind LIKE 'access\\_token.%' THEN
          pg_temp.chosen(payload -> 'data', ARRAY['emr_instance_domain', 'message', 'error_type'])
        ELSE pg_temp.chosen(payload -> 'data', ARRAY['mrn', 'patient_mrn', 'job_id', 'status']) END) ELSE '{{}}' END
    || CASE WHEN jsonb_typeof(payload -> 'listed') = 'object'
      THEN jsonb_build_object('listed', pg_temp.listed(payload -> 'listed')) ELSE '{{}}' END
$$;
CREATE FUNCTION pg_temp.reduced_bytes(raw bytea) RETURNS bytea LANGUAGE plpgsql AS $$
DECLARE said jsonb; kind text; kept jsonb;
BEGIN
  said := convert_from(raw, 'UTF8')::jsonb;
  IF jsonb_typeof(said) <> 'object' THEN RETURN raw; END IF;
  kind := coalesce(said ->> 'type', said ->> 'event_type');
  kept := CASE WHEN kind NOT IN ('appointment.created', 'appointment.failed') THEN pg_temp.reduced(kind, said)
    ELSE pg_temp.without_needless(said) END;
  RETURN CASE WHEN kept = said THEN raw ELSE convert_to(kept::text, 'UTF8') END;
EXCEPTION WHEN others THEN
  RETURN raw;  -- no JSON: nobody can tell what it says
END $$;
"""  # noqa: S608 (constants)
# Each batch goes on behind the one before; what is the same afterwards is not written.
EVENTS = """
WITH batch AS (SELECT id FROM events WHERE id > :after ORDER BY id LIMIT :most), written AS (
  UPDATE events e SET payload = r.payload, raw = NULL
  FROM (
    SELECT id, pg_temp.reduced(type, payload) AS payload FROM events JOIN batch USING (id) WHERE payload <> '{}'
  ) AS r
  WHERE e.id = r.id AND (e.payload <> r.payload OR (e.raw IS NOT NULL AND e.type <> 'appointment.failed'))
)
SELECT max(id) FROM batch
"""
FAILURES = """
WITH batch AS (SELECT id FROM appointments WHERE id > :after ORDER BY id LIMIT :most), written AS (
  UPDATE appointments a
  SET failure = jsonb_set(a.failure, '{details}', pg_temp.without_needless(a.failure -> 'details')),
    version = a.version + 1, updated_at = now()
  FROM batch WHERE a.id = batch.id AND a.failure ? 'details'
    AND a.failure -> 'details' <> pg_temp.without_needless(a.failure -> 'details')
)
SELECT max(id) FROM batch
"""
BEFORE = """
UPDATE corrections
SET before = jsonb_set(before, '{failure,details}', pg_temp.without_needless(before #> '{failure,details}'))
WHERE before #> '{failure,details}' <> pg_temp.without_needless(before #> '{failure,details}')
"""
QUARANTINED = """
UPDATE quarantine SET raw = pg_temp.reduced_bytes(raw) WHERE raw <> '' AND pg_temp.reduced_bytes(raw) <> raw
"""


def upgrade() -> None:
    with op.get_context().autocommit_block():
        bind = op.get_bind()
        bind.execute(sa.text(FUNCTIONS))
        for statement in (EVENTS, FAILURES):
            after: str | None = ""
            while after is not None:
                after = bind.execute(sa.text(statement), {"after": after, "most": AT_ONCE}).scalar()
        bind.execute(sa.text(BEFORE))
        bind.execute(sa.text(QUARANTINED))


def downgrade() -> None:
    """What was removed is gone."""
