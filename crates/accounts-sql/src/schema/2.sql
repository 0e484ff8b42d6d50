-- Version 2. An account says itself that it needs no password; it needs allowed_addresses then.

ALTER TABLE accounts ADD COLUMN no_password boolean;
