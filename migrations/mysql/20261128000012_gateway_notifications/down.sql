DROP TABLE gateway_notifications;
