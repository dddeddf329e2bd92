import CoppiceShared
import CoppiceTestSupport
import Testing

@Suite struct Base64Tests {
    @Test(arguments: [
        ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="), ("foobar", "Zm9vYmFy"),
    ])
    func standardVectors(_ plain: String, _ encoded: String) {
        #expect(Base64.encode(Array(plain.utf8)) == Array(encoded.utf8))
        #expect(Base64.decode(encoded.utf8) == Array(plain.utf8))
    }

    @Test(arguments: ["Z", "Zg", "Zg=", "Zg===", "Z===", "====", "=", "Zm9v=", "Zg==Zg==", "Zm9_", "Zm 9v", "Zmé="])
    func whatIsNoBase64IsNil(_ text: String) { #expect(Base64.decode(text.utf8) == nil) }

    @Test func lineBreaksArePassedOver() { #expect(Base64.decode("Zm9v\r\nYmFy\n".utf8) == Array("foobar".utf8)) }

    @Test func everythingComesBack() {
        var random = SeededGenerator()
        for count in 0..<200 {
            let bytes = (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &random) }
            #expect(Base64.decode(Base64.encode(bytes)) == bytes, "seed \(random.seed)")
        }
    }
}
