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
