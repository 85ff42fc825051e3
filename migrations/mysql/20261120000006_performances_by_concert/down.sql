DROP INDEX performances_by_concert ON performances;
