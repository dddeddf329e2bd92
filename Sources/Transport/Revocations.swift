/// How much is remembered of what has been revoked.
public enum Revocations {
    /// As many ids as Celery remembers (celery-wire §6.7).
    public static let limit = 50_000
    /// Seconds: 30 days, so that a call for next week stays revoked.
    public static let lifetime = 30 * 86400
}
