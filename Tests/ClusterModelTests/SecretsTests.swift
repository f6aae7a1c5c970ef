import ClusterModel
import Testing

@Suite struct SecretsTests {
    @Test(arguments: [
        ("postgres://u:p@h/db", "postgres://***@h/db"), ("http://u:p/a?b#c@h:1 x", "http://***@h:1 x"),
        ("cp https://a:b@c/d https://e@f", "cp https://***@c/d https://***@f"), ("http://h/path", "http://h/path"),
        ("host=h password=s3cret user=u", "host=h password=*** user=u"),
        ("host=h Password = 's3 c\\'ret' user=u", "host=h Password = *** user=u"),
        ("PGPASSWORD=x psql", "PGPASSWORD=*** psql"), ("password=", "password=***"),
        ("no password here", "no password here"),
        ("password=a\\ b c", "password=*** c"), ("://\u{301}u:p@\u{301}h", "://***@\u{301}h"),
    ])
    func masks(_ text: String, _ expected: String) {
        #expect(Secrets.masked(text).utf8.elementsEqual(expected.utf8))
        #expect(Secrets.masked(expected).utf8.elementsEqual(expected.utf8))
    }

    /// As much as a value of `/config` may be; what takes the square of it took minutes for each who asked.
    @Test(
        .timeLimit(.minutes(1)),
        arguments: ["password=a ", "password ", "password", "://", "a://b@c ", "://@", "\"", "\\", "password='\\'"])
    func aLongTextTakesItsTimeOnce(_ piece: String) {
        let text = String(repeating: piece, count: (1 << 18) / piece.utf8.count)
        let masked = Secrets.masked(text)
        #expect(Secrets.restored(["a": .string(masked)], from: ["a": .string(text)]) == ["a": .string(text)])
        #expect(Secrets.shown(text).utf8.count <= 4 + 200)
    }

    @Test(arguments: [("u:secret@host:2379", "***@host:2379"), ("http//u:s@h", "***@h"), ("plain", "plain")])
    func anErrorShowsNothingBeforeAnAt(_ text: String, _ expected: String) {
        #expect(Secrets.shown(text) == expected)
    }

    private let document: JSONObject = [
        "ttl": 30,
        "postgresql": [
            "authentication": ["superuser": ["username": "u", "password": 5], "x": ["a"]],
            "parameters": [
                "archive_command": "curl https://u:p@h/%f", "work_mem": "4MB",
                "primary_conninfo": "password=a",
            ], "pg_hba": ["host all all all md5"],
        ],
    ]

    @Test func aDocumentIsShownWithoutSecrets() {
        #expect(
            Secrets.masked(document) == [
                "ttl": 30,
                "postgresql": [
                    "authentication": ["superuser": ["username": "***", "password": "***"], "x": ["***"]],
                    "parameters": [
                        "archive_command": "curl https://***@h/%f", "work_mem": "4MB",
                        "primary_conninfo": "password=***",
                    ], "pg_hba": ["host all all all md5"],
                ],
            ])
    }

    /// Whoever reads, edits and writes does not write the mask.
    @Test func whatComesBackAsShownIsAsItWas() {
        var edited = Secrets.masked(document)
        edited["ttl"] = 20
        var expected = document
        expected["ttl"] = 20
        #expect(Secrets.restored(edited, from: document) == expected)
        let patch: JSONObject = ["postgresql": ["parameters": ["archive_command": "curl https://x:y@h/%f"]]]
        #expect(Secrets.restored(patch, from: document) == patch)
        #expect(Secrets.restored(["a": "***"], from: document) == ["a": "***"])
    }
}
