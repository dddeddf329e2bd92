import CoppiceShared

/// How long ago a message was sent.
enum MessageAge {
    /// Seconds, of a message that says when it was sent: `properties.timestamp`, in seconds since 1970, as AMQP has it.
    static func seconds(of raw: [UInt8], now: WallTime) -> Double? {
        guard let envelope = try? JSONValue(parsing: raw), let sent = envelope["properties"]?["timestamp"]?.double, sent.isFinite, sent > 0
        else { return nil }
        return max(0, now.seconds - sent)
    }
}
