import ClusterModel
import Testing

@Suite struct ShellWordsTests {
    @Test(
        "Commands are cut into words as a shell cuts them",
        arguments: [
            ("/bin/cb", ["/bin/cb"]), ("  a \t b\nc ", ["a", "b", "c"]), ("a 'b c' d", ["a", "b c", "d"]),
            (#"a "b c" d"#, ["a", "b c", "d"]), (#"a b\ c"#, ["a", "b c"]), (#"a "b\"c\\d\e""#, ["a", #"b"c\d\e"#]),
            (#"a 'b\c'"#, ["a", #"b\c"#]), (#"a '' """#, ["a", "", ""]), (#"--x='1 2'"3""#, ["--x=1 23"]),
            ("a $HOME *", ["a", "$HOME", "*"]), ("ä 'ö\u{301}'", ["ä", "ö\u{301}"]), ("", []),
        ])
    func words(_ text: String, _ expected: [String]) {
        #expect(ShellWords.split(text) == expected)
    }

    @Test("What is not closed is no command", arguments: ["a 'b", #"a "b"#, #"a b\"#, #"a "b\"#])
    func open(_ text: String) {
        #expect(ShellWords.split(text) == nil)
    }
}
