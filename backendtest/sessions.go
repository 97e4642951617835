package backendtest

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/seed-215b9b7c/backend"
)

// SessionStore checks that a store of sessions does what [backend.SessionStore] says, also
// when several goroutines and processes use it at once. open returns a store without
// sessions. Further stores that the function it returns makes share these sessions, as those
// of other processes do.
//
//	func TestStore(t *testing.T) {
//		backendtest.SessionStore(t, func(t *testing.T) func() backend.SessionStore {
//			server := startRedis(t)
//			return func() backend.SessionStore { return redisstore.New(server) }
//		})
//	}
func SessionStore(t *testing.T, open func(t *testing.T) (process func() backend.SessionStore)) {
	for name, test := range map[string]func(*testing.T, backend.SessionStore, backend.SessionStore){
		"what is inserted is found":                   findsSessions,
		"an id and a token are taken once":            insertsOnce,
		"update replaces a version, and inserts none": updatesVersions,
		"a new token takes the place of the old one":  changesTokens,
		"touch changes times only":                    touches,
		"delete":                                      deletesSessions,
		"accounts":                                    listsAccounts,
		"sessions that are over are deleted":          deletesExpired,
		"an update does not undo a deletion":          racesDeletion,
		"of updates at the same time none is lost":    racesUpdates,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			process := open(t)
			test(t, process(), process())
		})
	}
}

// aSession returns a new session.
func aSession(account backend.AccountID) *backend.StoredSession {
	random := make([]byte, 48)
	rand.Read(random)
	at := time.Now().UTC().Truncate(time.Microsecond)
	s := &backend.StoredSession{
		ID: hex.EncodeToString(random[:16]), Token: hex.EncodeToString(random[16:]), Account: account, Values: []byte(`{"a":"ä \" \u0000"}`),
		CreatedAt: at, SeenAt: at, ExpiresAt: at.Add(time.Hour), Remember: true, Address: "192.0.2.1", UserAgent: "a browser",
	}
	if account != "" {
		s.AuthenticatedAt = &at
	}
	return s
}

func noError(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func insertSession(t testing.TB, store backend.SessionStore, s *backend.StoredSession) *backend.StoredSession {
	t.Helper()
	noError(t, store.Insert(t.Context(), s))
	return s
}

// requireSession checks that a store has a session with these values, by id and by token.
func requireSession(t testing.TB, store backend.SessionStore, want *backend.StoredSession) {
	t.Helper()
	byID, err := store.Find(t.Context(), want.ID, false)
	noError(t, err)
	byToken, err := store.FindToken(t.Context(), want.Token)
	noError(t, err)
	for _, got := range []*backend.StoredSession{byID, byToken} {
		if got == nil {
			t.Fatalf("session %s is missing", want.ID)
		}
		if g, w := describeSession(got), describeSession(want); g != w {
			t.Fatalf("the store has\n%s\nnot\n%s", g, w)
		}
	}
}

func describeSession(s *backend.StoredSession) string {
	at := "never"
	if s.AuthenticatedAt != nil {
		at = s.AuthenticatedAt.UTC().String()
	}
	return fmt.Sprintf("%s %s %q %s %d created %v seen %v authenticated %s expires %v %v %q %q", s.ID, s.Token, s.Account, s.Values, s.Version,
		s.CreatedAt.UTC(), s.SeenAt.UTC(), at, s.ExpiresAt.UTC(), s.Remember, s.Address, s.UserAgent)
}

func requireNoSession(t testing.TB, store backend.SessionStore, s *backend.StoredSession) {
	t.Helper()
	byID, err := store.Find(t.Context(), s.ID, false)
	noError(t, err)
	byToken, err := store.FindToken(t.Context(), s.Token)
	noError(t, err)
	if byID != nil || byToken != nil {
		t.Fatalf("session %s is there", s.ID)
	}
}

func findsSessions(t *testing.T, store, other backend.SessionStore) {
	for _, s := range []*backend.StoredSession{aSession(""), aSession("12"), aSession("Ä b")} {
		requireNoSession(t, store, s)
		insertSession(t, store, s)
		requireSession(t, store, s)
		requireSession(t, other, s)
		found, err := store.Find(t.Context(), s.ID, true)
		noError(t, err)
		found.Values[0], found.Account = 'x', "changed" // must not be the store's own
		requireSession(t, store, s)
	}
}

func insertsOnce(t *testing.T, store, other backend.SessionStore) {
	s := insertSession(t, store, aSession("12"))
	sameID, sameToken := aSession("13"), aSession("13")
	sameID.ID, sameToken.Token = s.ID, s.Token
	for _, double := range []*backend.StoredSession{sameID, sameToken} {
		if other.Insert(t.Context(), double) == nil {
			t.Error("a second session has the same id or token")
		}
	}
	requireSession(t, store, s)
}

func update(t testing.TB, store backend.SessionStore, s *backend.StoredSession) bool {
	t.Helper()
	updated, err := store.Update(t.Context(), s)
	noError(t, err)
	return updated
}

func updatesVersions(t *testing.T, store, other backend.SessionStore) {
	missing := aSession("12")
	if update(t, store, missing) {
		t.Error("a session was updated that is not there")
	}
	requireNoSession(t, store, missing)

	s := insertSession(t, store, aSession(""))
	later := s.CreatedAt.Add(time.Minute)
	s.Account, s.Values, s.SeenAt, s.AuthenticatedAt, s.ExpiresAt, s.Remember = "12", []byte(`{}`), later, &later, later, false
	if !update(t, other, s) {
		t.Fatal("the session was not updated")
	}
	s.Version++
	requireSession(t, store, s)
	old := *s
	old.Version--
	old.Values = []byte(`{"old":1}`)
	if update(t, store, &old) {
		t.Error("an update of an old version has replaced a later one")
	}
	requireSession(t, store, s)
	s.Account, s.AuthenticatedAt = "", nil
	if !update(t, store, s) {
		t.Fatal("the session was not updated again")
	}
	s.Version++
	requireSession(t, other, s)
}

func changesTokens(t *testing.T, store, other backend.SessionStore) {
	s := insertSession(t, store, aSession("12"))
	old := s.Token
	s.Token = aSession("").Token
	if !update(t, store, s) {
		t.Fatal("the session was not updated")
	}
	s.Version++
	requireSession(t, other, s)
	if found, err := other.FindToken(t.Context(), old); err != nil || found != nil {
		t.Errorf("the old token finds %v, %v", found, err)
	}
}

func touches(t *testing.T, store, other backend.SessionStore) {
	missing := aSession("")
	noError(t, store.Touch(t.Context(), missing.ID, missing.SeenAt.Add(time.Hour), missing.ExpiresAt))
	requireNoSession(t, store, missing)

	s := insertSession(t, store, aSession("12"))
	first := s.SeenAt
	s.SeenAt, s.ExpiresAt = first.Add(time.Minute), s.ExpiresAt.Add(time.Minute)
	noError(t, other.Touch(t.Context(), s.ID, s.SeenAt, s.ExpiresAt))
	requireSession(t, store, s)
	noError(t, store.Touch(t.Context(), s.ID, first.Add(time.Second), first)) // a slower request
	requireSession(t, store, s)
}

func deletesSessions(t *testing.T, store, other backend.SessionStore) {
	s, kept := insertSession(t, store, aSession("12")), insertSession(t, store, aSession("12"))
	for _, want := range []bool{true, false} {
		deleted, err := other.Delete(t.Context(), s.ID)
		noError(t, err)
		if deleted != want {
			t.Errorf("deleted is %v, not %v", deleted, want)
		}
		requireNoSession(t, store, s)
	}
	if update(t, store, s) {
		t.Error("a session that was deleted was updated")
	}
	noError(t, store.Touch(t.Context(), s.ID, s.SeenAt.Add(time.Hour), s.ExpiresAt))
	requireNoSession(t, store, s)
	requireSession(t, store, kept)
}

func listsAccounts(t *testing.T, store, other backend.SessionStore) {
	var sessions []*backend.StoredSession
	for i := range 3 {
		s := aSession("Anna")
		s.SeenAt = s.SeenAt.Add(time.Duration(i) * time.Minute)
		sessions = append(sessions, insertSession(t, store, s))
	}
	foreign := []*backend.StoredSession{insertSession(t, store, aSession("anna")), insertSession(t, store, aSession("Anna ")), insertSession(t, store, aSession(""))}
	requireList := func(account backend.AccountID, want ...*backend.StoredSession) {
		t.Helper()
		list, err := other.ListAccount(t.Context(), account)
		noError(t, err)
		var got, wanted string
		for _, s := range list {
			got += describeSession(s) + "\n"
		}
		for _, s := range want {
			s := *s
			s.Values = nil
			wanted += describeSession(&s) + "\n"
		}
		if got != wanted {
			t.Fatalf("the sessions of %q are\n%s\nnot\n%s", account, got, wanted)
		}
	}
	requireList("Anna", sessions[2], sessions[1], sessions[0])
	requireList("anna", foreign[0])
	requireList("nobody")
	requireList("")
	deleted, err := store.DeleteAccount(t.Context(), "Anna", sessions[1].ID)
	noError(t, err)
	if deleted != 2 {
		t.Errorf("%d sessions were deleted, not 2", deleted)
	}
	requireList("Anna", sessions[1])
	for _, account := range []backend.AccountID{"", "Anna"} {
		_, err = store.DeleteAccount(t.Context(), account, "")
		noError(t, err)
	}
	requireList("Anna")
	for _, s := range foreign {
		requireSession(t, other, s)
	}
}

func deletesExpired(t *testing.T, store, other backend.SessionStore) {
	at := time.Now().UTC().Truncate(time.Second)
	var over []*backend.StoredSession
	for i := range 5 {
		s := aSession("12")
		s.ExpiresAt = at.Add(-time.Duration(i+1) * time.Minute)
		over = append(over, insertSession(t, store, s))
	}
	kept := aSession("12")
	kept.ExpiresAt = at.Add(time.Minute)
	insertSession(t, store, kept)
	for _, want := range []int{3, 2, 0} {
		deleted, err := other.DeleteExpired(t.Context(), at, 3)
		noError(t, err)
		if deleted != want {
			t.Errorf("%d sessions were deleted, not %d", deleted, want)
		}
	}
	for _, s := range over {
		requireNoSession(t, store, s)
	}
	requireSession(t, store, kept)
}

// racesDeletion lets requests write to a session while it is deleted.
func racesDeletion(t *testing.T, store, other backend.SessionStore) {
	for range 20 {
		s := insertSession(t, store, aSession("12"))
		var all sync.WaitGroup
		for i := range 4 {
			all.Go(func() {
				slow := *s
				slow.Version = int64(i % 2) // some of them have seen the update before
				_, err := []backend.SessionStore{store, other}[i%2].Update(t.Context(), &slow)
				if err == nil {
					err = store.Touch(t.Context(), s.ID, s.SeenAt.Add(time.Hour), s.ExpiresAt)
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
		all.Go(func() {
			if deleted, err := other.Delete(t.Context(), s.ID); err != nil || !deleted {
				t.Errorf("delete: %v, %v", deleted, err)
			}
		})
		all.Wait()
		requireNoSession(t, store, s)
	}
}

// racesUpdates lets many requests append a byte to the values.
func racesUpdates(t *testing.T, store, other backend.SessionStore) {
	s := aSession("")
	s.Values = []byte("[0")
	insertSession(t, store, s)
	const updates = 24
	var all sync.WaitGroup
	for i := range updates {
		mine := []backend.SessionStore{store, other}[i%2]
		all.Go(func() {
			for updated := false; !updated; {
				seen, err := mine.Find(t.Context(), s.ID, true)
				if err == nil {
					seen.Values = append(bytes.Clone(seen.Values), ",1"...)
					updated, err = mine.Update(t.Context(), seen)
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	last, err := store.Find(t.Context(), s.ID, false)
	noError(t, err)
	if got := bytes.Count(last.Values, []byte{'1'}); got != updates || last.Version != updates {
		t.Errorf("%d updates are in the values, and the version is %d; there were %d", got, last.Version, updates)
	}
}
