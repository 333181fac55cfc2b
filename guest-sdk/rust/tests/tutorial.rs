//! The tutorial shows the example that compiles, not one like it.

#[test]
fn the_tutorial_has_the_code_of_the_example() {
    let tutorial = include_str!("../../../docs/writing-a-connector.md");
    let example = include_str!("../examples/ticker.rs");
    let (connector, tests) = example.split_once("#[cfg(test)]").unwrap();
    for part in [connector, tests] {
        assert!(
            tutorial.contains(part.trim()),
            "docs/writing-a-connector.md lacks:\n{part}"
        );
    }
}
