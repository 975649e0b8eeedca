-- Links stand in parts of an e-mail, or in messages of other channels, each of which is a part of its own.
alter table links drop constraint links_part_check;
alter table links add constraint links_part_check check (part <> '');

comment on column report_links.part is 'where the link stands: html or text of an e-mail; of a message by another channel, that channel, such as sms or whatsapp';
comment on column report_links.position is 'the link''s place within html or text, from 0; of other channels, among the links of all of them';
comment on column report_responses.part is 'of a click: html or text of an e-mail, or the channel of another message';
