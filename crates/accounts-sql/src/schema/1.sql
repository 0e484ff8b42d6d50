-- Version 1. The columns are the keys of users.toml and take what stands behind those keys:
-- permissions 'read-write', quota '20GiB'. NULL is a key that is not there. Addresses have a
-- comma between them, hours a semicolon.

CREATE TABLE wharf_schema (
    version bigint PRIMARY KEY
);

CREATE TABLE accounts (
    name text PRIMARY KEY,
    password text,
    home text,
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
    allowed_addresses text,
    hours text,
    expires text,
    comment text
);

-- What an account does not say itself it takes from its groups.
CREATE TABLE groups (
    name text PRIMARY KEY,
    home text,
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
    allowed_addresses text,
    hours text,
    expires text,
    comment text
);

-- The first position counts before the others.
CREATE TABLE memberships (
    account text NOT NULL REFERENCES accounts (name) ON UPDATE CASCADE ON DELETE CASCADE,
    group_name text NOT NULL REFERENCES groups (name) ON UPDATE CASCADE,
    position bigint NOT NULL DEFAULT 1,
    PRIMARY KEY (account, group_name)
);

-- Permissions below a path of an account.
CREATE TABLE paths (
    account text NOT NULL REFERENCES accounts (name) ON UPDATE CASCADE ON DELETE CASCADE,
    path text NOT NULL,
    permissions text NOT NULL,
    PRIMARY KEY (account, path)
);

-- Folders of an account that lie elsewhere.
CREATE TABLE folders (
    account text NOT NULL REFERENCES accounts (name) ON UPDATE CASCADE ON DELETE CASCADE,
    path text NOT NULL,
    target text NOT NULL,
    permissions text,
    quota text,
    quota_files bigint,
    PRIMARY KEY (account, path)
);

CREATE TABLE group_paths (
    group_name text NOT NULL REFERENCES groups (name) ON UPDATE CASCADE ON DELETE CASCADE,
    path text NOT NULL,
    permissions text NOT NULL,
    PRIMARY KEY (group_name, path)
);

CREATE TABLE group_folders (
    group_name text NOT NULL REFERENCES groups (name) ON UPDATE CASCADE ON DELETE CASCADE,
    path text NOT NULL,
    target text NOT NULL,
    permissions text,
    quota text,
    quota_files bigint,
    PRIMARY KEY (group_name, path)
);
