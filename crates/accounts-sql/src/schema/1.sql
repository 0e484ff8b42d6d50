-- Version 1. The columns are the keys of users.toml and take what stands behind those keys:
-- permissions 'read-write', quota '20GiB'. NULL is a key that is not there.

CREATE TABLE wharf_schema (
    version bigint PRIMARY KEY
);

CREATE TABLE accounts (
    name text PRIMARY KEY,
    password text,
    home text NOT NULL,
    permissions text,
    enabled boolean,
    upload_rate text,
    download_rate text,
    transfer_upload_rate text,
    transfer_download_rate text,
    sessions bigint,
    quota text,
    quota_files bigint,
    require_tls boolean,
    comment text
);

-- Rights below a path of an account.
CREATE TABLE paths (
    account text NOT NULL REFERENCES accounts (name) ON UPDATE CASCADE ON DELETE CASCADE,
    path text NOT NULL,
    permissions text NOT NULL,
    PRIMARY KEY (account, path)
);
