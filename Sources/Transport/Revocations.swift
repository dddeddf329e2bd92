/// How much is remembered of what has been revoked.
public enum Revocations {
    /// As many ids as Celery remembers (celery-wire §6.7).
    public static let limit = 50_000
    /// Seconds: 30 days, so that a call for next week stays revoked.
    public static let lifetime = 30 * 86400
    /// Seconds within which one that is revoked again is not stored anew: every node that hears of an order stores it.
    static let renewal = 60
}
