//! Reads the pickles of PyTorch files as data: a strict list of opcodes and of names, nothing
//! imported, nothing called.
//!
//! Opcodes after CPython's `Lib/pickletools.py`, protocols 2 to 5. The functions that a state dict
//! needs are known by name ([`Global`]); any other name ends the reading with an error that says
//! it. Compound values live in one list and refer to each other by index, so that no nesting,
//! however deep, needs the stack, and none is copied.

use std::collections::HashMap;
use std::rc::Rc;

use super::element::{Element, Layout};
use super::file::Problem;

/// A pickled value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    None,
    Bool(bool),
    Int(i64),
    /// A float or bytes: nothing in a state dict depends on their value.
    Other,
    Text(Rc<str>),
    Global(Global),
    /// Index into [`Pickle::objects`].
    Object(usize),
}

/// A compound value.
#[derive(Debug, Clone)]
pub(super) enum Object {
    Tuple(Vec<Value>),
    List(Vec<Value>),
    Dict(Vec<(Value, Value)>),
    Storage(Storage),
    Tensor(Rebuilt),
}

/// A storage, named by the persistent id that stands for it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Storage {
    pub element: Element,
    /// Name of the bytes: a file of the zip, or a key of the legacy list.
    pub key: Rc<str>,
    /// Elements of the whole storage.
    pub length: usize,
    /// First element of the part of it that this is (legacy views).
    pub start: usize,
}

/// A tensor as `torch._utils._rebuild_tensor_v2` would make it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rebuilt {
    pub storage: Storage,
    pub layout: Layout,
}

/// The names that may occur, all of them data to us.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Global {
    OrderedDict,
    /// `_rebuild_tensor` and `_rebuild_tensor_v2`: storage, offset, size, stride, …
    RebuildTensor,
    /// `_rebuild_parameter`: the tensor, …
    RebuildParameter,
    /// `torch.Size`: a tuple.
    Size,
    Storage(Element),
}

impl Global {
    fn named(module: &str, name: &str) -> Option<Global> {
        Some(match (module, name) {
            ("collections", "OrderedDict") => Global::OrderedDict,
            ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => Global::RebuildTensor,
            ("torch._utils", "_rebuild_parameter") => Global::RebuildParameter,
            ("torch", "Size") => Global::Size,
            ("torch" | "torch.cuda", storage) => Global::Storage(match storage {
                "DoubleStorage" => Element::F64,
                "FloatStorage" => Element::F32,
                "HalfStorage" => Element::F16,
                "BFloat16Storage" => Element::Bf16,
                "LongStorage" => Element::I64,
                "IntStorage" => Element::I32,
                "ShortStorage" => Element::I16,
                "CharStorage" => Element::I8,
                "ByteStorage" => Element::U8,
                "BoolStorage" => Element::Bool,
                _ => return None,
            }),
            _ => return None,
        })
    }
}

/// A pickle that has been read.
pub(super) struct Pickle {
    pub objects: Vec<Object>,
    pub root: Value,
    /// Bytes that it took.
    pub length: usize,
}

impl Pickle {
    /// Reads the pickle that `bytes` starts with.
    pub(super) fn load(bytes: &[u8]) -> Result<Pickle, Problem> {
        let mut machine = Machine { bytes, at: 0, stack: vec![], marks: vec![], memo: HashMap::new(), objects: vec![] };
        while machine.step()? {}
        let root = machine.pop()?;
        Ok(Pickle { objects: machine.objects, root, length: machine.at })
    }

    pub(super) fn object(&self, value: &Value) -> Option<&Object> {
        match value {
            Value::Object(index) => self.objects.get(*index),
            _ => None,
        }
    }

    /// Keys and values of a dict; `None` where the value is not a dict.
    pub(super) fn dict(&self, value: &Value) -> Option<&[(Value, Value)]> {
        match self.object(value) {
            Some(Object::Dict(items)) => Some(items),
            _ => None,
        }
    }
}

/// Most values on the stack, in the memo and in the list of objects: a state dict of a thousand
/// tensors has some 50,000.
const MOST_VALUES: usize = 1 << 22;

/// Most axes of a tensor; PyTorch itself allows 64, networks use 5.
const MOST_AXES: usize = 16;

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    stack: Vec<Value>,
    /// Heights of the stack at which MARK was read.
    marks: Vec<usize>,
    memo: HashMap<u32, Value>,
    objects: Vec<Object>,
}

impl<'a> Machine<'a> {
    fn fail<T>(&self, what: impl std::fmt::Display) -> Result<T, Problem> {
        Err(Problem::damaged(format!("its pickle makes no sense at byte {}: {what}", self.at)))
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Problem> {
        let end = self.at.checked_add(length).filter(|&end| end <= self.bytes.len());
        let Some(end) = end else { return self.fail("it ends early") };
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    /// A little-endian number of `length` ≤ 8 bytes.
    fn number(&mut self, length: usize) -> Result<u64, Problem> {
        let mut bytes = [0; 8];
        bytes[..length].copy_from_slice(self.take(length)?);
        Ok(u64::from_le_bytes(bytes))
    }

    /// Bytes behind their length, which takes `width` bytes.
    fn counted(&mut self, width: usize) -> Result<&'a [u8], Problem> {
        let length = self.number(width)?;
        self.take(usize::try_from(length).unwrap_or(usize::MAX))
    }

    fn line(&mut self) -> Result<&'a str, Problem> {
        let rest = &self.bytes[self.at..];
        let Some(end) = rest.iter().take(1000).position(|&b| b == b'\n') else { return self.fail("a line does not end") };
        self.at += end + 1;
        std::str::from_utf8(&rest[..end]).or_else(|_| self.fail("a name is not UTF-8"))
    }

    fn push(&mut self, value: Value) -> Result<(), Problem> {
        if self.stack.len() + self.memo.len() + self.objects.len() >= MOST_VALUES {
            return self.fail("more values than any state dict has");
        }
        self.stack.push(value);
        Ok(())
    }

    fn push_object(&mut self, object: Object) -> Result<(), Problem> {
        self.objects.push(object);
        self.push(Value::Object(self.objects.len() - 1))
    }

    fn pop(&mut self) -> Result<Value, Problem> {
        if self.marks.last().is_some_and(|&mark| mark == self.stack.len()) {
            return self.fail("a value is missing");
        }
        match self.stack.pop() {
            Some(value) => Ok(value),
            None => self.fail("a value is missing"),
        }
    }

    /// All values since the last mark.
    fn pop_mark(&mut self) -> Result<Vec<Value>, Problem> {
        match self.marks.pop() {
            Some(mark) => Ok(self.stack.split_off(mark)),
            None => self.fail("a mark is missing"),
        }
    }

    fn pop_tuple(&mut self, length: usize) -> Result<(), Problem> {
        let mut values = (0..length).map(|_| self.pop()).collect::<Result<Vec<_>, _>>()?;
        values.reverse();
        self.push_object(Object::Tuple(values))
    }

    /// The list or dict below, for filling.
    fn top(&mut self) -> Result<&mut Object, Problem> {
        match self.stack.last() {
            Some(&Value::Object(index)) => Ok(&mut self.objects[index]),
            _ => self.fail("there is nothing to fill"),
        }
    }

    fn extend(&mut self, values: Vec<Value>) -> Result<(), Problem> {
        match self.top()? {
            Object::List(list) => list.extend(values),
            _ => return self.fail("only a list can be appended to"),
        }
        Ok(())
    }

    fn set_items(&mut self, values: Vec<Value>) -> Result<(), Problem> {
        match self.top()? {
            Object::Dict(items) => items.extend(values.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone()))),
            _ => return self.fail("only a dict has items"),
        }
        Ok(())
    }

    fn memoize(&mut self, index: u64) -> Result<(), Problem> {
        let Some(value) = self.stack.last().cloned() else { return self.fail("nothing to remember") };
        self.memo.insert(index as u32, value);
        Ok(())
    }

    fn recall(&mut self, index: u64) -> Result<(), Problem> {
        match self.memo.get(&(index as u32)).cloned() {
            Some(value) => self.push(value),
            None => self.fail(format!("value {index} was never remembered")),
        }
    }

    fn text(&mut self, bytes: &[u8]) -> Result<(), Problem> {
        match std::str::from_utf8(bytes) {
            Ok(text) => self.push(Value::Text(text.into())),
            Err(_) => self.fail("a text is not UTF-8"),
        }
    }

    fn global(&mut self, module: &str, name: &str) -> Result<(), Problem> {
        match Global::named(module, name) {
            Some(global) => self.push(Value::Global(global)),
            None => Err(Problem::new(
                format!("it asks Python for `{module}.{name}`, and a weights file is read as data only: nothing of it is ever run"),
                "it is a whole model or a training checkpoint: load it in Python once and keep the tensors alone, torch.save(model.state_dict(), \"weights.pth\")",
            )),
        }
    }

    /// Runs one opcode. `false` at the end.
    fn step(&mut self) -> Result<bool, Problem> {
        let opcode = self.take(1)?[0];
        match opcode {
            0x80 => match self.number(1)? {
                2..=5 => {}
                other => return self.fail(format!("protocol {other}")),
            },
            // FRAME: only a hint for buffering.
            0x95 => _ = self.number(8)?,
            b'.' => return Ok(false),
            b'(' => {
                if self.marks.len() >= MOST_VALUES {
                    return self.fail("more marks than any state dict has");
                }
                self.marks.push(self.stack.len());
            }
            b'0' => _ = self.pop()?,
            b'1' => _ = self.pop_mark()?,
            b'N' => self.push(Value::None)?,
            0x88 => self.push(Value::Bool(true))?,
            0x89 => self.push(Value::Bool(false))?,
            b'J' => {
                let number = self.number(4)? as u32 as i32;
                self.push(Value::Int(number.into()))?;
            }
            b'K' => self.push_number(1)?,
            b'M' => self.push_number(2)?,
            0x8A => {
                let bytes = self.counted(1)?;
                self.long(bytes)?;
            }
            b'G' => {
                self.take(8)?;
                self.push(Value::Other)?;
            }
            b'X' | b'T' => {
                let bytes = self.counted(4)?;
                self.text(bytes)?;
            }
            0x8C | b'U' => {
                let bytes = self.counted(1)?;
                self.text(bytes)?;
            }
            0x8D => {
                let bytes = self.counted(8)?;
                self.text(bytes)?;
            }
            b'C' => self.bytes_of(1)?,
            b'B' => self.bytes_of(4)?,
            0x8E => self.bytes_of(8)?,
            b')' => self.push_object(Object::Tuple(vec![]))?,
            b']' => self.push_object(Object::List(vec![]))?,
            b'}' => self.push_object(Object::Dict(vec![]))?,
            b't' => {
                let values = self.pop_mark()?;
                self.push_object(Object::Tuple(values))?;
            }
            0x85..=0x87 => self.pop_tuple((opcode - 0x84).into())?,
            b'a' => {
                let value = self.pop()?;
                self.extend(vec![value])?;
            }
            b'e' => {
                let values = self.pop_mark()?;
                self.extend(values)?;
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set_items(vec![key, value])?;
            }
            b'u' => {
                let values = self.pop_mark()?;
                self.set_items(values)?;
            }
            b'q' => {
                let index = self.number(1)?;
                self.memoize(index)?;
            }
            b'r' => {
                let index = self.number(4)?;
                self.memoize(index)?;
            }
            0x94 => self.memoize(self.memo.len() as u64)?,
            b'h' => {
                let index = self.number(1)?;
                self.recall(index)?;
            }
            b'j' => {
                let index = self.number(4)?;
                self.recall(index)?;
            }
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.global(module, name)?;
            }
            0x93 => match (self.pop()?, self.pop()?) {
                (Value::Text(name), Value::Text(module)) => self.global(&module, &name)?,
                _ => return self.fail("a name is not a text"),
            },
            b'R' => self.reduce()?,
            b'b' => self.build()?,
            b'Q' => self.persistent()?,
            other => return self.fail(format!("opcode 0x{other:02x} has no place in a state dict")),
        }
        Ok(true)
    }

    fn push_number(&mut self, width: usize) -> Result<(), Problem> {
        let number = self.number(width)?;
        self.push(Value::Int(number as i64))
    }

    fn bytes_of(&mut self, width: usize) -> Result<(), Problem> {
        self.counted(width)?;
        self.push(Value::Other)
    }

    /// A two's-complement number of any length; one that 64 bits do not hold is of no use here.
    fn long(&mut self, bytes: &[u8]) -> Result<(), Problem> {
        if bytes.len() > 8 {
            return self.push(Value::Other);
        }
        let sign = if bytes.last().is_some_and(|b| b & 0x80 != 0) { 0xFF } else { 0 };
        let mut all = [sign; 8];
        all[..bytes.len()].copy_from_slice(bytes);
        self.push(Value::Int(i64::from_le_bytes(all)))
    }

    /// REDUCE: Python would call a function; ours are the few known ones.
    fn reduce(&mut self) -> Result<(), Problem> {
        let arguments = self.pop()?;
        let Value::Global(global) = self.pop()? else { return self.fail("something other than a name is called") };
        let Some(arguments) = self.tuple(&arguments) else { return self.fail("the arguments are not a tuple") };
        match global {
            // With arguments it would be a list of pairs; torch.save fills it afterwards.
            Global::OrderedDict if arguments.is_empty() => self.push_object(Object::Dict(vec![])),
            Global::RebuildTensor => {
                let Some(tensor) = self.rebuilt(arguments) else { return self.fail("a tensor is described wrongly") };
                tensor.layout.check(tensor.storage.length).or_else(|outside| self.fail(outside))?;
                self.push_object(Object::Tensor(tensor))
            }
            Global::RebuildParameter | Global::Size if !arguments.is_empty() => {
                let first = arguments[0].clone();
                self.push(first)
            }
            _ => self.fail("a name is called in a way that torch.save never writes"),
        }
    }

    fn rebuilt(&self, arguments: &[Value]) -> Option<Rebuilt> {
        let [Value::Object(storage), Value::Int(offset), shape, strides, ..] = arguments else { return None };
        let Object::Storage(storage) = self.objects.get(*storage)? else { return None };
        let numbers = |value: &Value| self.tuple(value)?.iter().take(MOST_AXES + 1).map(as_usize).collect::<Option<Vec<usize>>>();
        let offset = usize::try_from(*offset).ok()?.checked_add(storage.start)?;
        let layout = Layout { offset, shape: numbers(shape)?, strides: numbers(strides)? };
        (layout.shape.len() <= MOST_AXES).then(|| Rebuilt { storage: storage.clone(), layout })
    }

    /// BUILD sets attributes of an object. A state dict carries `_metadata` so, which holds version
    /// numbers.
    fn build(&mut self) -> Result<(), Problem> {
        self.pop()?;
        match self.top()? {
            Object::Dict(_) => Ok(()),
            _ => self.fail("attributes are set on something that has none"),
        }
    }

    /// BINPERSID: `('storage', type, key, location, length[, view])`, a view being `(its key, first
    /// element, length)`.
    fn persistent(&mut self) -> Result<(), Problem> {
        let id = self.pop()?;
        let storage = self.tuple(&id).and_then(|id| match id {
            [Value::Text(kind), Value::Global(Global::Storage(element)), Value::Text(key), _, length, view @ ..]
                if &**kind == "storage" =>
            {
                let start = match view.first() {
                    None | Some(Value::None) => 0,
                    Some(view) => as_usize(self.tuple(view)?.get(1)?)?,
                };
                Some(Storage { element: *element, key: key.clone(), length: as_usize(length)?, start })
            }
            _ => None,
        });
        match storage {
            Some(storage) => self.push_object(Object::Storage(storage)),
            None => self.fail("a storage is described wrongly"),
        }
    }

    fn tuple(&self, value: &Value) -> Option<&[Value]> {
        match value {
            Value::Object(index) => match self.objects.get(*index) {
                Some(Object::Tuple(values)) => Some(values),
                _ => None,
            },
            _ => None,
        }
    }
}

fn as_usize(value: &Value) -> Option<usize> {
    match value {
        Value::Int(n) => usize::try_from(*n).ok(),
        _ => None,
    }
}
