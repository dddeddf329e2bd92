import CoppiceShared
import CoppiceTransport

/// What stands written with the broker about a delivery before it is handed out, and what is known of earlier attempts that died.
///
/// A task that may run again after a death has its attempts counted before they begin, so that one that takes its host along is known
/// for it. A strict task is acknowledged before it is handed out.
struct AttemptRecord: Equatable {
    enum State: Equatable {
        case absent
        /// The broker has been told and has not answered.
        case ordered
        case standing
    }

    private(set) var state = State.absent
    private(set) var deaths: [AttemptStory] = []
    private var story: AttemptStory?

    /// Whether an earlier attempt died: it must take nobody else's work along.
    var isSuspect: Bool { !deaths.isEmpty }

    mutating func order(_ story: AttemptStory?) {
        precondition(state == .absent, "an attempt was ordered twice")
        state = .ordered
        self.story = story
    }

    /// The broker's answer.
    mutating func stands(earlier: [AttemptStory]) {
        precondition(state == .ordered, "an attempt stands that was not ordered")
        state = .standing
        deaths = earlier
    }

    mutating func died(_ how: String, lastLines: [String] = []) {
        guard var story else { return }
        story.end = how
        story.lastLines = lastLines
        self.story = story
        deaths.append(story)
    }

    /// What the step that ends the delivery has to say about the attempt.
    func note(for step: Commit.Step) -> AttemptNote? {
        guard state == .standing, let story else { return nil }
        switch step {
        case .conclude, .setAside: return .over
        case .putBack: return story.end == nil ? .withdrawn : .died(story)
        case .startEarly, .keep, .park: return nil
        }
    }
}
