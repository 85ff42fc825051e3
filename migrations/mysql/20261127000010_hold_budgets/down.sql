DROP TABLE hold_budgets;
