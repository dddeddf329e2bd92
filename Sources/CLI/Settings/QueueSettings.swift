import CoppiceShared
import CoppiceYAML

/// The member `queues` of a settings file: names, and what each queue has that a mere name does not say.
///
///     queues:
///       celery: {}
///       reports: {exchange: documents, exchange_type: topic, routing_key: "report.#"}
///       payments: {type: quorum}
///       urgent: {max_priority: 9}
enum QueueSettings {
    static func read(_ node: YAMLNode, _ path: String) throws(SettingsError) -> [QueueDeclaration] {
        guard let mapping = node.mapping else { throw SettingsError("queues in \(path)", "not a mapping of names to options") }
        var queues: [QueueDeclaration] = []
        for entry in mapping {
            guard QueueName.isSound(entry.key) else {
                throw SettingsError("queues in \(path)", "'\(entry.key)' is not a queue name (\(QueueName.rule))")
            }
            queues.append(try declaration(entry.key, entry.value, "queue \(entry.key) in \(path)"))
        }
        return queues
    }

    private static func declaration(_ name: String, _ node: YAMLNode, _ source: String) throws(SettingsError) -> QueueDeclaration {
        var queue = QueueDeclaration(name)
        if node.isNull { return queue }
        guard let options = node.mapping else { throw SettingsError(source, "not a mapping of options to values; {} for none") }
        for entry in options {
            let option = entry.key
            guard let text = entry.value.text else { throw SettingsError(source, "a value is not plain text") }
            switch option {
            case "exchange":
                guard QueueName.isSound(text) else { throw SettingsError(source, "exchange: \(QueueName.rule)") }
                queue.exchange = text
            case "exchange_type": queue.exchangeType = try choice(text, option, source)
            case "routing_key": queue.routingKey = text
            case "type": queue.kind = try choice(text, option, source)
            case "max_priority":
                guard let number = Int(text), (1...255).contains(number) else {
                    throw SettingsError(source, "max_priority: a number from 1 to 255 is wanted")
                }
                queue.maximumPriority = number
            default:
                throw SettingsError(source, "unknown option \(option); known: exchange, exchange_type, routing_key, type, max_priority")
            }
        }
        return queue
    }

    private static func choice<Choice: RawRepresentable<String> & CaseIterable>(
        _ text: String, _ option: String, _ source: String
    ) throws(SettingsError) -> Choice {
        guard let choice = Choice(rawValue: text) else {
            throw SettingsError(source, "\(option): one of \(Choice.allCases.map(\.rawValue).joined(separator: ", ")) is wanted")
        }
        return choice
    }
}
