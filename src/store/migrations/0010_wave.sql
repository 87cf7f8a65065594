-- Where only a few get a broadcast first: the last batch that may leave; null where all of them may.
alter table broadcasts add column gate bigint;
