DROP TABLE address_mails;
