/// Whether it has been said that the dead-letter place is full: once a session.
struct FullDeadPlace {
    private var isSaid = false

    /// What the operator should know; nil if it has been said.
    mutating func notice() -> String? {
        if isSaid { return nil }
        isSaid = true
        return "the dead-letter place is full: for each new message the oldest body goes, its record stays"
    }
}
