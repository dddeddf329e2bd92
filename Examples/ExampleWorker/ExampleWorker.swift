import CoppiceWorkerProcess

@main struct ExampleWorker: WorkerApplication {
    static func register(in tasks: inout TaskRegistry) {
        tasks.on(Add.self) { call, _ in call.x + call.y }

        tasks.on(SendEmail.self, retry: .fixed(limit: 3, delay: .seconds(60))) { call, context in
            guard let mail = Mail(to: call.to, subject: call.subject, body: call.body) else {
                throw context.fail(because: ValueError("line breaks are not allowed in an address or a subject"))
            }
            try mail.send()
            context.logger.info("sent", metadata: ["to": "\(call.to)"])
            return .init(to: call.to, sent: true)
        }

        tasks.on(ProcessData.self) { call, context in
            for index in call.items.indices {
                try context.update(meta: ProcessData.Progress(current: index + 1, total: call.items.count))
                try await Task.sleep(for: .milliseconds(200))  // the work on call.items[index]
            }
            return .init(processed: call.items.count)
        }
    }
}
