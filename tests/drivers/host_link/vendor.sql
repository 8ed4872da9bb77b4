-- A vendor's own tables, and views over them as drivers/host_link/README.md wants them. PostgreSQL.

CREATE SCHEMA IF NOT EXISTS handover;

DROP SCHEMA handover CASCADE;

CREATE SCHEMA handover;

CREATE TABLE einfahrt (karte INTEGER PRIMARY KEY, um TIMESTAMPTZ, kennzeichen CHAR(30));

CREATE TABLE zahlung (beleg SERIAL PRIMARY KEY, karte INTEGER, betrag NUMERIC(9,2), um TIMESTAMPTZ DEFAULT now(), herkunft TEXT UNIQUE);

INSERT INTO einfahrt VALUES (42, now() - interval '65 minutes', '品川 330 あ 73-91');

CREATE VIEW handover.daiko_books AS SELECT 'B' || beleg AS receipt_no, lpad(karte::text, 4, '0') AS ticket_no, betrag AS amount, CASE WHEN herkunft IS NULL THEN 'cash' ELSE 'phone' END AS means, um AS payment_time, herkunft AS authorisation_code FROM zahlung;

CREATE VIEW handover.daiko_fees AS SELECT lpad(karte::text, 4, '0') AS ticket_no, e.um AS entry_time, now() AS rate_time, now() + interval '10 minutes' AS valid_until, 600 - coalesce((SELECT sum(betrag) FROM zahlung z WHERE z.karte = e.karte), 0) AS due, coalesce((SELECT sum(betrag) FROM zahlung z WHERE z.karte = e.karte), 0) AS paid FROM einfahrt e;

CREATE VIEW handover.daiko_stays AS SELECT f.ticket_no, f.entry_time, kennzeichen AS plate, paid AS paid_amount, NULL AS paid_by FROM handover.daiko_fees f JOIN einfahrt ON karte = f.ticket_no::integer;

CREATE TABLE handover.daiko_payments (authorisation_code TEXT PRIMARY KEY, ticket_no TEXT, amount INTEGER, payment_time TIMESTAMPTZ, receipt_no TEXT, refusal TEXT, message TEXT);

CREATE OR REPLACE FUNCTION handover.buche() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO zahlung (karte, betrag, herkunft) VALUES (NEW.ticket_no::integer, NEW.amount, NEW.authorisation_code) RETURNING 'B' || beleg INTO NEW.receipt_no; RETURN NEW; END $$;

CREATE TRIGGER buche BEFORE INSERT ON handover.daiko_payments FOR EACH ROW EXECUTE FUNCTION handover.buche();
