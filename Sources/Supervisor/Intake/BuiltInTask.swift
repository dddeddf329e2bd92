/// The tasks that every Celery application has, under names that are Celery's own. No worker here need have them.
enum BuiltInTask {
    /// The master itself ends it: results expire by themselves in every store. Celery's beat sends it once a day.
    static let cleanup = "celery.backend_cleanup"

    /// They carry canvas out.
    private static let canvas: Set<String> = [
        "celery.accumulate", "celery.chain", "celery.chord", "celery.chord_unlock", "celery.chunks", "celery.group", "celery.map",
        "celery.starmap",
    ]

    /// Why a task can't be run that no worker has; nil: nothing is known of it.
    static func refusal(of name: String) -> String? {
        canvas.contains(name) ? "\(name) is a built-in task of Celery's canvas, which is not there yet" : nil
    }
}
