import Testing

@testable import PostgreSQL

/// What `postgres --version` says.
@Suite struct InstalledVersionTests {
    @Test(
        arguments: [
            ("postgres (PostgreSQL) 15.18 (Debian 15.18-1.pgdg13+1)\n", 150_018),
            ("postgres (PostgreSQL) 17.0", 170_000),
            ("postgres (PostgreSQL) 18beta1\n", 180_000), ("postgres (PostgreSQL) 9.6.24", nil), ("junk", nil),
            ("", nil), ("postgres (PostgreSQL) ", nil), ("postgres (PostgreSQL) 15.", nil),
            ("postgres (PostgreSQL) 15.99999999999999999999", nil),
        ] as [(String, Int?)])
    func numbers(text: String, number: Int?) { #expect(InstalledVersion.number(text) == number) }
}
