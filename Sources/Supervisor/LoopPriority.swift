/// Who is served first when several are ready. Messages before exits, so that a child's last word counts; exits before kill timers,
/// so that nobody is killed who is gone; then the reconciliation; behind it what tasks print, and frames once a turn has read many,
/// so that a flood holds up nothing.
enum LoopPriority {
    static let stopSignals = -60
    static let childFrames = -50
    static let childExits = -40
    static let timeLimits = -30
    static let broker = -20
    static let due = -5
    static let requests = -3
    static let heartbeat = 0
    static let reconcile = 100
    static let childOutput = 200
}
