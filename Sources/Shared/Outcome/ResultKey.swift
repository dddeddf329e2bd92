/// Where Celery's Redis backend keeps a task's record, and the channel on which it is announced (celery-wire §4.1).
public enum ResultKey {
    public static let prefix = "celery-task-meta-"
}
