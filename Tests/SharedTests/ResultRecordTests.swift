import CoppiceShared
import CoppiceTestSupport
import Testing

/// Records, byte for byte as Celery stores them (Tests/golden/stored.json); only times are given in UTC.
@Suite struct ResultRecordTests {
    @Test(arguments: try GoldenMessage.cases(of: "stored")) func asCeleryStores(_ golden: GoldenMessage) throws {
        let texts = golden["records"].array?.compactMap(\.string) ?? []
        #expect(!texts.isEmpty)
        for text in texts {
            let theirs = try JSONValue(parsing: Array(text.utf8))
            let date = theirs["date_done"]?.string
            let state = TaskState(theirs["status"]?.string ?? "")
            var record = ResultRecord(
                taskID: theirs["task_id"]?.string ?? "", state: state, result: (theirs["result"] ?? .null).bytes,
                traceback: theirs["traceback"]?.string, dateDone: try date.map { try #require(ISO8601.parse($0)) })
            record.group = theirs["group_id"]?.string
            record.parentID = theirs["parent_id"]?.string
            // Celery lists a retry's next run as its child; ours name none.
            var expected = text.replacing("\"children\": \((theirs["children"] ?? .null).text)", with: "\"children\": []")
            if let date, let time = record.dateDone { expected = expected.replacing(date, with: ISO8601.format(time)) }
            #expect(String(decoding: record.encoded, as: UTF8.self) == expected)
            // A date is what tells that nothing follows.
            #expect(state.isReady == (date != nil))
        }
    }

    /// Members, their order and their texts are those of a real Celery with `result_extended`.
    @Test(arguments: try GoldenMessage.cases(of: "extended")) func asCeleryExtends(_ golden: GoldenMessage) throws {
        for text in golden["records"].array?.compactMap(\.string) ?? [] {
            let theirs = try JSONValue(parsing: Array(text.utf8))
            // Of a task that it does not know Celery's record says nothing.
            guard let name = theirs["name"]?.string else { continue }
            var headers = JSONObject()
            if let names = theirs["stamped_headers"] {
                headers.append("stamped_headers", names)
                var stamps: JSONObject = ["unnamed": 1]
                for name in names.array?.compactMap(\.string) ?? [] { stamps.append(name, theirs[name] ?? .null) }
                headers.append("stamps", .object(stamps))
            }
            var record = ResultRecord(taskID: theirs["task_id"]?.string ?? "", state: .started, result: Array("1".utf8))
            record.extended = ExtendedResult(
                name: name, arguments: theirs["args"]?.bytes, keywords: theirs["kwargs"]?.bytes, worker: "golden@local",
                retries: theirs["retries"]?.int ?? 0, queue: "celery", headers: headers)
            let ours = String(decoding: record.encoded, as: UTF8.self)
            let from = try #require(text.firstRange(of: ", \"name\": "))
            #expect(ours.hasSuffix(text[from.lowerBound...]), "\(ours)")
        }
    }

    @Test func exceptionsAsCelerys() throws {
        let failures = try GoldenMessage.cases(of: "stored").compactMap { golden -> JSONValue? in
            try golden["records"].array?.last?.string.map { try JSONValue(parsing: Array($0.utf8)) }?["result"]
        }.filter { $0["exc_type"] != nil }
        #expect(failures.count >= 5)
        for theirs in failures {
            let failure = TaskFailure(
                type: theirs["exc_type"]?.string ?? "", module: theirs["exc_module"]?.string ?? "",
                arguments: theirs["exc_message"]?.array ?? [])
            #expect(ResultRecord.exception(failure) == theirs.bytes)
        }
    }

    @Test func groupAndParentComeBeforeTheID() {
        var record = ResultRecord(taskID: "ü\"", state: .success, result: Array("[1]".utf8))
        record.group = "g"
        record.parentID = "p"
        #expect(
            String(decoding: record.encoded, as: UTF8.self)
                == #"{"status": "SUCCESS", "result": [1], "traceback": null, "children": [], "date_done": null, "group_id": "g", "parent_id": "p", "#
                + #""task_id": "\u00fc\""}"#)
        let write = ResultWrite(record, reach: .announce)
        #expect(write.taskID == record.taskID && write.state == .success && write.record == record.encoded && write.reach == .announce)
    }

    @Test func whatIsReady() {
        #expect([TaskState.success, .failure, .revoked].allSatisfy { $0.isReady })
        #expect(![TaskState.pending, .started, .retry, TaskState("PROGRESS")].contains { $0.isReady })
    }
}
