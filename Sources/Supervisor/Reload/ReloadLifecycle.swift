/// How far a reload is. The first child of the new generation proves it before any other is replaced; if one behind it does not become
/// ready, those that were replaced are replaced back.
///
/// resting → trying → replacing → resting, or from replacing → returning → resting.
struct ReloadLifecycle: Equatable {
    enum State: Equatable {
        case resting
        /// One child of the new generation is to become ready; nothing else has changed.
        case trying
        /// The new generation is the pool's.
        case replacing
        /// The old generation is the pool's again, and why.
        case returning(String)
    }

    enum Action: Equatable {
        case none
        /// The new generation is the pool's from now on.
        case adopt
        /// The old one is.
        case restore
        case end(ReloadReport.Outcome)
    }

    private(set) var state = State.resting

    var isUnderWay: Bool { state != .resting }

    mutating func begins() {
        precondition(state == .resting, "a reload began while another was under way")
        state = .trying
    }

    /// A child that replaces another is ready.
    mutating func childReady() -> Action {
        guard state == .trying else { return .none }
        state = .replacing
        return .adopt
    }

    /// One could not be started, or ended before it was ready.
    mutating func childFailed(_ reason: String) -> Action {
        switch state {
        case .resting: return .none
        case .trying:
            state = .resting
            return .end(.failed("\(reason); nothing has changed"))
        case .replacing:
            state = .returning(reason)
            return .restore
        case .returning(let first):
            state = .resting
            return .end(.failed("\(first); on the way back: \(reason); children of both generations go on"))
        }
    }

    /// Every child is of the pool's generation.
    mutating func isComplete() -> Action {
        switch state {
        case .resting, .trying: return .none
        case .replacing:
            state = .resting
            return .end(.done)
        case .returning(let reason):
            state = .resting
            return .end(.failed("\(reason); the children that were replaced are replaced back"))
        }
    }

    /// The node stops.
    mutating func abandon(_ reason: String) -> Action {
        guard isUnderWay else { return .none }
        state = .resting
        return .end(.failed(reason))
    }
}
