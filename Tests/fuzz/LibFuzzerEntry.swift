#if FUZZER
    /// libFuzzer's way in: called with one input after the other, in one thread.
    @_cdecl("LLVMFuzzerTestOneInput")
    public func fuzzOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
        // The bytes are libFuzzer's and live until this returns; they are copied.
        let input = Array(UnsafeBufferPointer(start: start, count: count))
        do { try FuzzedDecoder.check(input) } catch { fatalError(error.description) }
        return 0
    }
#endif
