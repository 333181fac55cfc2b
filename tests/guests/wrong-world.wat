;; A component that is no plugin: it exports something else.
(component
  (core module $m
    (func (export "answer") (result i32) i32.const 42))
  (core instance $i (instantiate $m))
  (func $answer (result u32) (canon lift (core func $i "answer")))
  (instance $other (export "answer" (func $answer)))
  (export "example:other/answers@1.0.0" (instance $other)))
