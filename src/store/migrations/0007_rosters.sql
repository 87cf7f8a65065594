-- Lists of people that are kept in Feishu (a department, a user group), as they were read last.
create table rosters (
    -- As the settings and the policy file write it: `od-…` or `group:…`.
    list    text   not null primary key,
    -- A JSON list of open_ids.
    members text   not null,
    read_at bigint not null
);
