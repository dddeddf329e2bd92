/// How long records are kept.
public enum ResultExpiry {
    /// Celery's default for `result_expires`: one day, in seconds.
    public static let standard = 86400
}
