//! One pass over its rows: read → decode → infer → write, a bounded number of batches in flight.
//!
//! | phase | where | why |
//! |---|---|---|
//! | read | a few plain threads | they sleep in the file system, not on a core |
//! | decode | rayon's pool, injected from outside | workers look at injected jobs last, so decoding fills the gaps of the engine's own parallel sections and takes nothing from them |
//! | infer | a CPU engine as a job of the same pool, any other on plain threads, as many batches at once as it takes | one pool with one thread a core: nothing is oversubscribed, nothing idles; copying one batch to a GPU overlaps with computing another |
//! | write | one plain thread | it sleeps in `fsync` |
//!
//! The calling thread only coordinates. Batches are started, inferred and written in the order of
//! their rows, whatever the order in which images come out of decoding, so that no result depends
//! on the number of threads.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::Instant;

use super::flow::{Done, Event, Finished, Outputs, Ticket};
use super::job::ExtractionJob;
use super::matched::{Image, Images};
use super::observe::{Lanes, Watch};
use super::pass::Pass;
use super::prepare::{Preparation, Skip, Views};
use super::sink;
use crate::data::Digest;
use crate::engine::{Batch, Engine, Fitting};
use crate::preprocess::Normalise;
use crate::store::Writer;
use crate::{Error, Result};

/// Threads that read files.
const READERS: usize = 4;

/// A batch whose images are being read and decoded.
struct Loading {
    rows: Vec<u64>,
    views: Vec<Option<Views>>,
    corrected: Vec<(u64, Digest)>,
    outstanding: usize,
    last: bool,
}

/// A batch in the engine, and its features where they are there before those of an earlier one.
struct InEngine {
    number: usize,
    finished: Finished,
    outputs: Option<Outputs>,
}

/// Computes and stores the rows of a pass.
pub(super) fn run(
    job: &ExtractionJob<'_>,
    pass: &Pass,
    images: &Images<'_>,
    engine: &Fitting,
    writer: &mut Writer,
    watch: &mut Watch<'_>,
) -> Result<Done> {
    let preparation = Preparation::new(job, &pass.views);
    watch.progress.lanes = Lanes { read: READERS, decode: rayon::current_num_threads(), infer: engine.in_flight() };
    engine.take_messages().iter().for_each(|text| watch.message(text));
    let infer = Inference { engine, input: job.input, normalise: job.preprocess.normalise(), pass };
    let (events_in, events) = channel();
    let (to_read, requests) = channel();
    let (to_sink, finished) = sync_channel(1);
    let requests = Mutex::new(requests);
    thread::scope(|threads| {
        for _ in 0..READERS {
            let (events, preparation, requests) = (events_in.clone(), &preparation, &requests);
            threads.spawn(move || read(preparation, images, requests, &events));
        }
        let sink_events = events_in.clone();
        let sink = threads.spawn(move || sink::store(pass, writer, &finished, &sink_events));
        let coordinated = rayon::in_place_scope(|pool| {
            let decode = |ticket: Ticket, bytes: Vec<u8>| {
                let (events, preparation) = (events_in.clone(), &preparation);
                pool.spawn(move |_| decode_image(preparation, images, ticket, &bytes, &events));
            };
            let start_inference = |number: usize, batch: Vec<Vec<Vec<u8>>>| {
                let (events, infer) = (events_in.clone(), &infer);
                if infer.engine.device() == "cpu" {
                    pool.spawn(move |_| infer.run(number, batch, &events));
                } else {
                    threads.spawn(move || infer.run(number, batch, &events));
                }
            };
            let in_flight = engine.in_flight().max(1);
            Coordinator { pass, images, batch: job.batch.max(1), in_flight, to_read, to_sink, watch }.run(&events, decode, start_inference)
        });
        // The coordinator has hung up, so the sink ends; its error is the cause where both have
        // one.
        let stored = sink.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        let (unturned, cut_off) = (preparation.unturned(), preparation.cut_off());
        Ok(Done { stored: stored.rows, write_seconds: stored.seconds, unturned, cut_off, ..coordinated? })
    })
}

fn read(preparation: &Preparation<'_>, images: &Images<'_>, requests: &Mutex<Receiver<Ticket>>, events: &Sender<Event>) {
    loop {
        let next = requests.lock().map(|r| r.recv());
        let Ok(Ok(ticket)) = next else { return };
        let start = Instant::now();
        let bytes = preparation.read(images.get(ticket.row).uri);
        if events.send(Event::Read { ticket, bytes, seconds: start.elapsed().as_secs_f64() }).is_err() {
            return;
        }
    }
}

fn decode_image(preparation: &Preparation<'_>, images: &Images<'_>, ticket: Ticket, bytes: &[u8], events: &Sender<Event>) {
    let start = Instant::now();
    let Image { uri, digest, is_new, .. } = images.get(ticket.row);
    let (views, corrected) = preparation.views(uri, *digest, *is_new, bytes);
    // The receiver is gone where another phase failed.
    let _ = events.send(Event::Decoded { ticket, views, corrected, seconds: start.elapsed().as_secs_f64() });
}

/// Runs the engine on whole batches.
struct Inference<'a> {
    engine: &'a Fitting,
    input: [usize; 2],
    normalise: Normalise,
    pass: &'a Pass,
}

impl Inference<'_> {
    /// `batch` holds the views of each image.
    fn run(&self, number: usize, batch: Vec<Vec<Vec<u8>>>, events: &Sender<Event>) {
        let start = Instant::now();
        let run = AssertUnwindSafe(|| (0..self.pass.views.len()).map(|v| self.view(&batch, v)).collect());
        let outputs = catch_unwind(run).unwrap_or_else(|_| Err(self.failed("it panicked: please report this")));
        let _ =
            events.send(Event::Inferred { number, outputs, messages: self.engine.take_messages(), seconds: start.elapsed().as_secs_f64() });
    }

    fn view(&self, batch: &[Vec<Vec<u8>>], view: usize) -> Result<Vec<Vec<f32>>> {
        if batch.is_empty() {
            return Ok(vec![vec![]; self.pass.taps.len()]);
        }
        let rgb: Vec<u8> = batch.iter().map(|views| views[view].as_slice()).collect::<Vec<_>>().concat();
        let outputs = self.engine.run(Batch::Pixels { images: batch.len(), size: self.input, rgb: &rgb, normalise: &self.normalise })?;
        let want = self.pass.taps.iter().map(|t| batch.len() * t.shape.iter().product::<usize>());
        if !outputs.iter().map(Vec::len).eq(want) {
            return Err(self.failed("it gave features of another shape than planned"));
        }
        Ok(outputs)
    }

    fn failed(&self, reason: &str) -> Error {
        Error::engine(self.engine.name(), "computing features")(reason)
    }
}

/// The calling thread: issues batches, hands them on in order, keeps the count.
struct Coordinator<'a, 'w> {
    pass: &'a Pass,
    images: &'a Images<'a>,
    batch: usize,
    /// Batches that are in the engine at the same time.
    in_flight: usize,
    to_read: Sender<Ticket>,
    to_sink: SyncSender<Finished>,
    watch: &'a mut Watch<'w>,
}

impl Coordinator<'_, '_> {
    /// Returns what became of rows without features, and whether the observer said stop.
    fn run(mut self, events: &Receiver<Event>, decode: impl Fn(Ticket, Vec<u8>), infer: impl Fn(usize, Vec<Vec<Vec<u8>>>)) -> Result<Done> {
        // Those in the engine, one ready, and enough behind them to keep every thread decoding.
        let window = self.in_flight + 1 + (2 * rayon::current_num_threads()).div_ceil(self.batch);
        let mut batches = self.pass.batches(self.batch);
        let mut loading: VecDeque<Loading> = VecDeque::new();
        let mut first = 0;
        let mut in_engine: VecDeque<InEngine> = VecDeque::new();
        let mut done = Done::default();
        loop {
            while loading.len() < window
                && let Some((rows, last)) = batches.next()
            {
                self.issue(first + loading.len(), rows);
                let (views, corrected) = (vec![None; rows.len()], vec![]);
                loading.push_back(Loading { rows: rows.to_vec(), views, corrected, outstanding: rows.len(), last });
            }
            if in_engine.len() < self.in_flight && loading.front().is_some_and(|l| l.outstanding == 0) {
                let (finished, views) = self.assemble(loading.pop_front(), &mut done);
                infer(first, views);
                in_engine.push_back(InEngine { number: first, finished, outputs: None });
                first += 1;
                continue;
            }
            if in_engine.is_empty() && loading.is_empty() {
                return Ok(done);
            }
            match events.recv() {
                Ok(Event::Read { ticket, bytes: Ok(bytes), seconds }) => {
                    self.watch.progress.seconds.read += seconds;
                    decode(ticket, bytes);
                }
                Ok(Event::Read { ticket, bytes: Err(skip), .. }) => fill(&mut loading[ticket.batch - first], ticket.slot, Err(skip)),
                Ok(Event::Decoded { ticket, views, corrected, seconds }) => {
                    self.watch.progress.seconds.decode += seconds;
                    loading[ticket.batch - first].corrected.extend(corrected.map(|digest| (ticket.row, digest)));
                    fill(&mut loading[ticket.batch - first], ticket.slot, views);
                }
                Ok(Event::Inferred { number, outputs, messages, seconds }) => {
                    self.watch.progress.seconds.infer += seconds;
                    messages.iter().for_each(|text| self.watch.message(text));
                    let outputs = outputs?;
                    if let Some(batch) = in_engine.iter_mut().find(|b| b.number == number) {
                        batch.outputs = Some(outputs);
                    }
                    // In the order of their rows, whichever batch is through first.
                    while in_engine.front().is_some_and(|b| b.outputs.is_some())
                        && let Some(InEngine { finished, outputs: Some(outputs), .. }) = in_engine.pop_front()
                    {
                        if self.hand_on(Finished { outputs, ..finished }).is_break() {
                            return Ok(Done { stopped: true, ..done });
                        }
                    }
                }
                Ok(Event::Stored { images, seconds }) => {
                    self.watch.progress.seconds.write += seconds;
                    self.watch.progress.stored += images;
                }
                Err(_) => return Ok(Done { stopped: true, ..done }),
            }
        }
    }

    fn issue(&self, batch: usize, rows: &[u64]) {
        for (slot, &row) in rows.iter().enumerate() {
            // Readers live as long as the sender.
            let _ = self.to_read.send(Ticket { batch, slot, row });
        }
    }

    /// Parts the images that have pixels from those that have none.
    fn assemble(&mut self, loading: Option<Loading>, done: &mut Done) -> (Finished, Vec<Vec<Vec<u8>>>) {
        let mut finished = Finished::default();
        let mut pixels = vec![];
        let Some(loading) = loading else { return (finished, pixels) };
        (finished.last, finished.corrected) = (loading.last, loading.corrected);
        // In the order of their rows, not in that of decoding.
        finished.corrected.sort_unstable();
        done.misrecorded.extend(finished.corrected.iter().map(|(row, _)| *row).filter(|row| self.images.get(*row).digest.is_some()));
        for (row, views) in loading.rows.into_iter().zip(loading.views) {
            match views {
                Some(Ok(views)) => {
                    finished.rows.push((row, self.images.get(row).uri.to_string()));
                    pixels.push(views);
                }
                Some(Err(Skip::Broken(reason))) => finished.failed.push((row, reason)),
                Some(Err(Skip::Unreadable(reason))) => finished.unreadable.push((row, reason)),
                Some(Err(Skip::Gone(reason))) => {
                    finished.gone.push(row);
                    done.gone.push((row, reason));
                }
                Some(Err(Skip::Changed)) => {
                    finished.gone.push(row);
                    done.misrecorded.push(row);
                    done.gone.push((row, "it holds another image than before: extract the features again".into()));
                }
                None => {}
            }
        }
        (finished, pixels)
    }

    fn hand_on(&mut self, finished: Finished) -> ControlFlow<()> {
        let failed = finished.failed.len() + finished.gone.len() + finished.unreadable.len();
        let done = finished.rows.len() + failed;
        // A sink that is gone has an error to tell: the caller asks it.
        if self.to_sink.send(finished).is_err() {
            return ControlFlow::Break(());
        }
        self.watch.advance(done, failed)
    }
}

fn fill(batch: &mut Loading, slot: usize, views: Result<Vec<Vec<u8>>, Skip>) {
    batch.views[slot] = Some(views);
    batch.outstanding -= 1;
}
