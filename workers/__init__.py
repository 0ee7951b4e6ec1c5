"""Workers: the Celery application, its tasks, the loop that reconciles a node and the steps that carry out actions."""
