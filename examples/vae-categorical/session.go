package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// drawingTime is the time for pictures after an interrupt of the training.
const drawingTime = 5 * time.Second

// session is one run of the program.
type session struct {
	*config
	ctx       context.Context
	cancel    func()
	team      *team
	stdout    io.Writer    // for results
	stderr    *console     // for everything else
	stopping  atomic.Value // what an interrupt does now, as a string
	announced func()       // waits for the message of an interrupt
	images    *dataset
	checksum  uint32
	trainer   *trainer
	lock      *folderLock // nil before -out exists, or if the system cannot lock
	saves     saves
}

func newSession(ctx context.Context, c *config, stdout, stderr io.Writer) *session {
	ctx, cancel := context.WithCancel(ctx)
	return &session{config: c, ctx: ctx, cancel: cancel, stdout: stdout, stderr: newConsole(stderr)}
}

func (s *session) path(name string) string { return filepath.Join(s.out, name) }

// say prints a message, unless -quiet is set.
func (s *session) say(format string, args ...any) {
	if !s.quiet {
		s.stderr.say(format, args...)
	}
}

// run trains, draws and evaluates. If interrupted, it returns context.Canceled.
func (s *session) run(load func(dir string) (*dataset, error)) error {
	defer s.cancel()
	var err error
	if s.team, err = newTeam(s.pieces); s.team == nil {
		return err
	}
	if err := s.team.Sum(nil, err); err != nil {
		return err
	}
	s.team.Timeout = s.timeout
	if !s.team.isFirst() {
		s.quiet, s.stderr = true, newConsole(io.Discard)
	}
	s.announced = s.announce()
	defer s.announced()
	defer s.unlockOut()
	saved, err := s.open()
	if err != nil {
		return err
	}
	if err := s.team.Sum(nil, s.prepare(load, saved)); err != nil {
		return err
	}
	defer s.trainer.close()
	if err := s.align(); err != nil {
		return err
	}
	if stopped, err := s.mustStop(); err != nil {
		return err
	} else if stopped {
		return s.interrupted()
	}
	if err := s.train(); err != nil {
		return err
	}
	s.team.Timeout = 0 // rank 0 is not done yet
	if !s.team.isFirst() {
		return s.ctx.Err()
	}
	err = s.draw()
	if s.ctx.Err() != nil && (err == nil || isInterrupt(err)) {
		return s.interrupted()
	}
	if err != nil {
		return err
	}
	err = s.evaluate()
	if isInterrupt(err) {
		return s.interrupted()
	}
	return err
}

// open locks -out and reads the checkpoint on rank 0, and returns the checkpoint on all
// ranks.
func (s *session) open() (saved *checkpoint, err error) {
	err = s.team.onFirst(func() (err error) {
		// A new folder is locked when it is made, before the first step.
		if info, err := os.Stat(s.out); err == nil && info.IsDir() {
			if err := s.lockOut(); err != nil {
				return fmt.Errorf("-out: %w", err)
			}
		}
		saved, err = s.saved()
		return err
	})
	if err != nil || !s.resume || s.team.Size() == 1 {
		return saved, err
	}
	var file bytes.Buffer
	if s.team.isFirst() {
		err = saved.encode(&file)
	}
	if err := s.team.Sum(nil, err); err != nil {
		return nil, err
	}
	data, err := s.team.BroadcastBytes(file.Bytes())
	if err != nil {
		return nil, err
	}
	// Rank 0 decodes it too: a difference between encoding and memory would be one
	// between ranks.
	if saved, err = decodeCheckpoint(bytes.NewReader(data), int64(len(data))); err == nil && !s.team.isFirst() {
		err = s.adopt(saved)
	}
	return saved, s.team.Sum(nil, err)
}

// align makes all ranks start from the images and weights of rank 0.
func (s *session) align() error {
	if err := s.team.mustAgree("the images", s.checksum, "pass the same images as -data on all machines"); err != nil {
		return err
	}
	return s.team.Broadcast(s.trainer.gradients.ValueGrads())
}

// mustStop reports whether a rank was interrupted, and then interrupts this one.
func (s *session) mustStop() (bool, error) {
	stop, err := s.team.anyDone(s.ctx)
	if stop {
		s.cancel()
	}
	return stop, err
}

// announce makes an interrupt print at once what the program finishes. Call wait
// before the program's last message: an interrupt prints nothing after it.
func (s *session) announce() (wait func()) {
	if s.ctx.Err() != nil {
		return func() {}
	}
	s.stopping.Store("stopping before the first step")
	done := make(chan struct{})
	stop := context.AfterFunc(s.ctx, func() {
		defer close(done)
		s.stderr.say("%s: interrupted: %v; a second Ctrl-C ends the program immediately, or after the file that is being saved", program, s.stopping.Load())
	})
	return sync.OnceFunc(func() {
		if !stop() {
			<-done
		}
	})
}

// lockOut refuses a second run in -out, unless the system cannot lock.
func (s *session) lockOut() (err error) {
	if s.lock != nil {
		return nil
	}
	s.lock, err = lockFolder(s.out)
	if errors.Is(err, errors.ErrUnsupported) {
		s.say("%v; start no other run there", err)
		return nil
	}
	return err
}

func (s *session) unlockOut() {
	if s.lock != nil {
		s.lock.unlock()
	}
}

// saved reads the checkpoint for -resume and adopts its settings.
func (s *session) saved() (*checkpoint, error) {
	if !s.resume {
		return nil, nil
	}
	saved, err := readCheckpoint(s.path("checkpoint"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("-resume: %w: leave -resume out to start a run, or pass the folder of the run as -out%s", err, s.earlier())
	}
	if err != nil {
		return nil, fmt.Errorf("-resume: %w; the file is unchanged: start a new run in another -out", err)
	}
	if err := s.adopt(saved); err != nil {
		return nil, usageError{err}
	}
	return saved, nil
}

// earlier names the last run that a fresh one has set aside, to end an error.
func (s *session) earlier() string {
	if folder := lastEarlier(s.out); folder != "" {
		return ", such as " + folder
	}
	return ""
}

// prepare loads the images and builds the trainer.
func (s *session) prepare(load func(dir string) (*dataset, error), saved *checkpoint) (err error) {
	if s.images, err = load(s.config.data); err != nil {
		return err
	}
	if s.Binarize {
		s.images.binarize(s.Seed)
	}
	s.checksum = s.images.checksum()
	if saved != nil && saved.Images != s.checksum {
		return errors.New("-resume: the images differ from those that the checkpoint was trained on: pass their folder as -data")
	}
	if s.trainer, err = newTrainer(s.settings, s.images.train, s.team); err != nil {
		return err
	}
	if saved != nil {
		return s.trainer.restore(saved)
	}
	return nil
}

// claim prepares -out for the files of this run. Those of an earlier run would be
// taken for its own.
func (s *session) claim() (*metricsFile, error) {
	if err := os.MkdirAll(s.out, 0o777); err != nil {
		return nil, err
	}
	if err := s.lockOut(); err != nil {
		return nil, err
	}
	if !s.resume {
		folder, err := setAside(s.out, os.Rename)
		if err != nil {
			return nil, err
		}
		if folder != "" {
			s.say("the files of an earlier run are now in %s", folder)
		}
	}
	return createMetrics(s.path("metrics.csv"), s.trainer.history)
}

// train takes the remaining steps, until it is interrupted, but at least one, because
// from claim on -out is no longer as it was. It saves the checkpoint after each epoch,
// by time and at the end.
func (s *session) train() (err error) {
	t := s.trainer
	s.stopping.Store("finishing this step, then saving the checkpoint and drawing the pictures")
	var metrics *metricsFile
	err = s.team.onFirst(func() (err error) {
		if metrics, err = s.claim(); err != nil {
			return fmt.Errorf("-out: %w", err)
		}
		return nil
	})
	if metrics != nil {
		defer func() { err = errors.Join(err, metrics.close()) }()
	}
	if err != nil {
		return err
	}
	s.say("%v; writing to %s", &t.settings, s.out)
	if done := len(t.history); done > 0 {
		s.say("continuing after step %d", done)
	}
	p := newProgress(s.stderr, s.steps, len(t.history))
	defer p.end()
	first := len(t.history)
	s.saves = saves{step: first, at: time.Now()}
	for len(t.history) < s.steps {
		if stop, err := s.mustStop(); err != nil {
			return err
		} else if stop && len(t.history) > first {
			break
		}
		if err := t.step(); err != nil {
			return err
		}
		if len(t.history)%t.batches.perEpoch() == 0 {
			if err := t.compare(); err != nil {
				return err
			}
		}
		if err := s.team.onFirst(func() error { return s.record(metrics, p) }); err != nil {
			return err
		}
	}
	return s.team.onFirst(func() error {
		if s.saves.step < len(t.history) {
			return s.save()
		}
		return nil
	})
}

// record writes the last step to metrics.csv, reports it, and saves the checkpoint if
// that is due.
func (s *session) record(metrics *metricsFile, p *progress) error {
	t := s.trainer
	step := len(t.history)
	if err := metrics.add(step, t.history[step-1]); err != nil {
		return s.withoutMetrics(err)
	}
	if !s.quiet {
		p.report(t.history)
	}
	if step%t.batches.perEpoch() == 0 || s.saveIsDue() {
		return s.save()
	}
	return nil
}

// withoutMetrics saves the checkpoint after an error of metrics.csv, which need not
// affect it, and reports what came of both.
func (s *session) withoutMetrics(err error) error {
	if other := s.save(); other != nil {
		return fmt.Errorf("%w; the checkpoint of step %d is not saved either: %w", err, len(s.trainer.history), other)
	}
	return fmt.Errorf("%w; the checkpoint of step %d is saved: continue with -resume -out %s", err, len(s.trainer.history), s.out)
}

// saves describes the last save of the checkpoint.
type saves struct {
	step int
	at   time.Time
	took time.Duration
}

// saveIsDue reports whether to save by time. Unless -checkpoint-every is given, saves
// take at most 1 % of the time, however slow the disk is.
func (s *session) saveIsDue() bool {
	wait := s.every
	if wait == 0 {
		return false
	}
	if !s.given["checkpoint-every"] {
		wait = max(wait, 100*s.saves.took)
	}
	return time.Since(s.saves.at) >= wait
}

func (s *session) save() error {
	began := time.Now()
	c, err := s.trainer.checkpoint(s.steps, s.checksum)
	if err != nil {
		return err
	}
	if err := c.write(s.path("checkpoint")); err != nil {
		return err
	}
	now := time.Now()
	s.saves = saves{step: c.Adam.Steps(), at: now, took: now.Sub(began)}
	return nil
}

func isInterrupt(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// draw writes the curves and the pictures. An interrupt ends it, but one that has
// already ended the training leaves it some time, which is enough for most models.
func (s *session) draw() error {
	ctx := s.ctx
	if ctx.Err() != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.Background(), drawingTime)
		defer cancel()
	}
	s.stopping.Store("stopping the pictures; the checkpoint and the finished pictures are saved")
	if len(s.trainer.history) == 0 {
		return nil
	}
	if err := drawCurves(s.trainer.history, s.path("curves.png")); err != nil {
		return err
	}
	p, err := s.trainer.parameters()
	if err != nil {
		return err
	}
	c := newCounter(s.stderr, "drawing latents.png")
	defer c.end()
	err = drawPictures(ctx, p, s.images.test, s.out, s.reporter(c))
	var missing *pictureError
	if isInterrupt(err) && errors.As(err, &missing) {
		s.say("pictures from %s on are not drawn; -resume draws them", missing.name)
	}
	return err
}

// reporter returns the method of c, unless -quiet is set.
func (s *session) reporter(c *counter) reporter {
	if s.quiet {
		return ignore
	}
	return c.report
}

func (s *session) evaluate() error {
	s.stopping.Store("stopping the evaluation; the checkpoint and the pictures are saved, and finished results are printed")
	s.say("evaluating %d test images", s.images.test.n)
	p, err := s.trainer.parameters()
	if err != nil {
		return err
	}
	c := newCounter(s.stderr, "evaluating")
	e, err := evaluate(s.ctx, p, s.images.test, s.trainer.tau(), s.evalSamples, s.reporter(c))
	c.end()
	if err != nil && !isInterrupt(err) {
		return err
	}
	if other := s.print(e); other != nil {
		return other
	}
	return err
}

// print writes the results that are finished. It returns write errors, so that results
// are not lost silently.
func (s *session) print(e scores) error {
	var lines strings.Builder
	if !math.IsNaN(e.soft) {
		fmt.Fprintf(&lines, "test -ELBO %.2f nats (soft, 1 sample)\n", e.soft)
	}
	if e.bounded > 0 {
		samples, part := "1 sample", ""
		if s.evalSamples > 1 {
			samples = fmt.Sprintf("%d samples", s.evalSamples)
		}
		if all := s.images.test.n; e.bounded < all {
			part = fmt.Sprintf(", first %d of %d images", e.bounded, all)
		}
		fmt.Fprintf(&lines, "test bound %.2f nats (discrete, %s%s)\n", e.bound, samples, part)
	}
	if !math.IsNaN(e.discrete) {
		fmt.Fprintf(&lines, "test -ELBO %.2f nats (discrete, 1 sample)\n", e.discrete)
	}
	_, err := io.WriteString(s.stdout, lines.String())
	return err
}

// interrupted prints how to continue, even with -quiet.
func (s *session) interrupted() error {
	s.announced()
	step := len(s.trainer.history)
	if step == 0 {
		s.stderr.say("%s: interrupted before the first step", program)
	} else {
		s.stderr.say("%s: interrupted after step %d of %d; continue with -resume -out %s", program, step, s.steps, s.out)
	}
	return context.Canceled
}
