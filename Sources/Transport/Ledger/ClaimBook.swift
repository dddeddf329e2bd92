import CoppiceShared

/// What this incarnation has in hand from a broker with a ledger beside it. Outlives connections, as the incarnation does.
public final class ClaimBook {
    struct Holding {
        /// As in `Claim`.
        var message: String
        var queue: String
        /// For the ledger's copies; nil for what could not be read.
        var content: TaskMessage?
        /// The message as it came, where there is no content.
        var raw: [UInt8]
        /// The tag under which the present connection's broker has it; nil: it has it no more, or will deliver it once more.
        var brokerTag: DeliveryTag?
        /// Acknowledged: the ledger's start record is all there is.
        var isAcknowledged = false
    }

    private var holdings: [String: Holding] = [:]
    /// Entered in the ledger, as far as we know, for nobody: asked for by a session that was lost before the answer, or not handed over
    /// by it. The next one takes them out again: while they stand nobody else gets their messages. Marks, and the claims' names.
    var stranded: [String: [String]] = [:]

    public init() {}

    public var count: Int { holdings.count }
    var marks: [String: Holding] { holdings }

    subscript(mark: String) -> Holding? {
        get { holdings[mark] }
        set { holdings[mark] = newValue }
    }

    /// The connection is lost: no tag of it means anything any more.
    func forgetBrokerTags() {
        for mark in holdings.keys { holdings[mark]?.brokerTag = nil }
    }
}

extension ClaimBook.Holding {
    /// The message as it would stand in Redis.
    var envelope: [UInt8] {
        guard let content else { return raw }
        return Envelope.write(TaskPublication(copyOf: content), deliveryTag: Incarnation.randomUUID())
    }
}
