import CYaml

/// One step of libyaml's parser.
struct YAMLEvent {
    enum Kind {
        case scalar(String, isPlain: Bool)
        case sequence
        case mapping
        /// Of the innermost sequence or mapping.
        case endOfCollection
        case alias(String)
        /// The beginning or end of a document, or the stream's beginning.
        case mark
        /// Of the stream; nothing follows.
        case end
    }

    let kind: Kind
    let anchor: String?
    /// From 1.
    let line: Int
}

/// libyaml's parser over a text in memory.
final class YAMLEvents {
    private let parser: UnsafeMutablePointer<yaml_parser_t>
    /// The text, which the parser reads piece by piece: it stays where it is as long as the parser lives.
    private let text: UnsafeMutableBufferPointer<UInt8>

    init(_ bytes: [UInt8]) throws(YAMLError) {
        let parser = UnsafeMutablePointer<yaml_parser_t>.allocate(capacity: 1)
        // Initialises all of it; where that fails nothing is left to delete.
        guard yaml_parser_initialize(parser) == 1 else {
            parser.deallocate()
            throw YAMLError(line: 1, problem: "no memory for a parser")
        }
        self.parser = parser
        text = .allocate(capacity: bytes.count)
        _ = text.initialize(from: bytes)
        yaml_parser_set_input_string(parser, text.baseAddress, text.count)
    }

    deinit {
        yaml_parser_delete(parser)
        parser.deallocate()
        text.deallocate()
    }

    /// Not called again once it has thrown or returned the end.
    func next() throws(YAMLError) -> YAMLEvent {
        var event = yaml_event_t()
        guard yaml_parser_parse(parser, &event) == 1 else { throw failure() }
        // The event's memory is copied below, and freed here.
        defer { yaml_event_delete(&event) }
        // `data` is a union; the type says which of its members holds.
        let (kind, anchor): (YAMLEvent.Kind, UnsafeMutablePointer<UInt8>?) =
            switch event.type {
            case YAML_SCALAR_EVENT:
                (
                    .scalar(
                        // `value` points to `length` bytes of UTF-8.
                        String(
                            decoding: UnsafeBufferPointer(start: event.data.scalar.value, count: event.data.scalar.length), as: UTF8.self),
                        isPlain: event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE), event.data.scalar.anchor
                )
            case YAML_SEQUENCE_START_EVENT: (.sequence, event.data.sequence_start.anchor)
            case YAML_MAPPING_START_EVENT: (.mapping, event.data.mapping_start.anchor)
            case YAML_SEQUENCE_END_EVENT, YAML_MAPPING_END_EVENT: (.endOfCollection, nil)
            case YAML_ALIAS_EVENT: (.alias(YAMLEvents.name(event.data.alias.anchor) ?? ""), nil)
            case YAML_STREAM_END_EVENT: (.end, nil)
            default: (.mark, nil)
            }
        return YAMLEvent(kind: kind, anchor: YAMLEvents.name(anchor), line: YAMLEvents.line(event.start_mark.line))
    }

    /// libyaml's names end with a null byte.
    private static func name(_ start: UnsafeMutablePointer<UInt8>?) -> String? { start.map { String(cString: $0) } }

    private static func line(_ mark: Int) -> Int { mark + 1 }

    private func failure() -> YAMLError {
        let state = parser.pointee
        // Both are constants of libyaml, and quote nothing.
        let problem = state.problem.map { String(cString: $0) } ?? "not understood"
        guard state.error != YAML_READER_ERROR else {
            // A mistake in the bytes themselves is known by its offset alone.
            let before = text.prefix(max(0, min(Int(clamping: state.problem_offset), text.count)))
            return YAMLError(line: before.count { $0 == UInt8(ascii: "\n") } + 1, problem: problem)
        }
        var words = problem
        if let context = state.context {
            words += ", \(String(cString: context)) that begins in line \(YAMLEvents.line(state.context_mark.line))"
        }
        return YAMLError(line: YAMLEvents.line(state.problem_mark.line), problem: words)
    }
}
