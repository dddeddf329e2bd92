import CoppiceShared

/// What is known of a call's parameters while they are asked for, one after the other, and which argument each has got.
///
/// A synthesised `init(from:)` asks for its keys in the order of declaration: the n-th key that is asked for is the n-th parameter.
final class ArgumentBinding {
    let arguments: TaskArguments
    /// Names in the order in which they were first asked for.
    private(set) var parameters: [String] = []
    private var optional: Set<String> = []
    private var missing: [String] = []
    /// Of keyword arguments; of two with one name the last counts.
    private let keywords: [String: JSONValue]
    /// The first argument whose value won't do. Python looks at the call before its function looks at a value, so that what is
    /// wrong with the call is told first, and a blank stands in meanwhile.
    private var valueFailure: BindingError?
    /// The call took all arguments at once, without names.
    private(set) var isUnnamed = false

    init(_ arguments: TaskArguments) {
        self.arguments = arguments
        keywords =
            arguments.keyword.members.isEmpty
            ? [:] : Dictionary(arguments.keyword.members.map { ($0.key, $0.value) }) { _, last in last }
    }

    var keywordNames: [String] { arguments.keyword.members.map { $0.key } }

    /// The parameter's argument; nil where the call has none.
    func argument(_ name: String) -> JSONValue? {
        let position: Int
        if let known = parameters.firstIndex(of: name) {
            position = known
        } else {
            position = parameters.count
            parameters.append(name)
        }
        return position < arguments.positional.count ? arguments.positional[position] : keywords[name]
    }

    func mayBeMissing(_ name: String) { optional.insert(name) }

    func isMissing(_ name: String) { missing.append(name) }

    func failed(_ error: BindingError) { if valueFailure == nil { valueFailure = error } }

    /// What to say when not all parameters could be asked for: the rest of the call is not known then.
    var firstFailure: BindingError? { valueFailure ?? (missing.isEmpty ? nil : missingArguments) }

    /// The call takes its arguments as a list.
    func takeUnnamed() -> [JSONValue] {
        isUnnamed = true
        return arguments.positional
    }

    /// Throws what Python would say of the call, in Python's order: keywords first, then too many, then missing ones.
    func check() throws {
        let function = arguments.function
        let given = arguments.positional.count
        if isUnnamed {
            if let name = keywordNames.first { throw BindingError("\(function)() got an unexpected keyword argument '\(name)'") }
            return
        }
        for name in keywordNames {
            guard let position = parameters.firstIndex(of: name) else {
                throw BindingError("\(function)() got an unexpected keyword argument '\(name)'")
            }
            if position < given { throw BindingError("\(function)() got multiple values for argument '\(name)'") }
        }
        if given > parameters.count {
            let count = parameters.count
            let required = parameters.count { !optional.contains($0) }
            let takes = required == count ? "\(count)" : "from \(required) to \(count)"
            throw BindingError(
                "\(function)() takes \(takes) positional argument\(count == 1 && required == count ? "" : "s") but \(given) \(given == 1 ? "was" : "were") given"
            )
        }
        if !missing.isEmpty { throw missingArguments }
        if let valueFailure { throw valueFailure }
    }

    private var missingArguments: BindingError {
        BindingError(
            "\(arguments.function)() missing \(missing.count) required positional argument\(missing.count == 1 ? "" : "s"): \(Self.list(missing))"
        )
    }

    /// `'x'`; `'x' and 'y'`; `'x', 'y', and 'z'`.
    private static func list(_ names: [String]) -> String {
        let quoted = names.map { "'\($0)'" }
        guard let last = quoted.last, quoted.count > 1 else { return quoted.first ?? "" }
        return quoted.count == 2 ? "\(quoted[0]) and \(last)" : quoted.dropLast().joined(separator: ", ") + ", and \(last)"
    }
}
