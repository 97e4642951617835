package contestants

// gorm, with its drivers for PostgreSQL, which is on pgx, and for SQLite, which is on
// modernc.org/sqlite's engine.

import (
	"context"
	"errors"

	"github.com/libtnb/sqlite"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/logger"
)

type gormStore struct{ db *gorm.DB }

// Entry is a row of the table entries, for gorm.
type Entry struct {
	ID    int64
	Owner int64
	Title string
	Price float64
}

func openGormPostgres(_ context.Context, url string) (store, error) {
	return openGorm(postgres.Open(url))
}

func openGormSQLite(_ context.Context, path string) (store, error) {
	return openGorm(sqlite.Open(sqliteName(path)))
}

func openGorm(dialect gorm.Dialector) (store, error) {
	db, err := gorm.Open(dialect, &gorm.Config{Logger: logger.Discard})
	if err != nil {
		return nil, err
	}
	pool, err := db.DB()
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(connections)
	pool.SetMaxIdleConns(connections)
	return &gormStore{db}, nil
}

func (s *gormStore) Item(ctx context.Context, id int64) (i Item, err error) {
	err = s.db.WithContext(ctx).First(&i, id).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		err = ErrNotFound
	}
	return i, err
}

func (s *gormStore) Items(ctx context.Context, owner int64) (items []Item, err error) {
	err = s.db.WithContext(ctx).Where("owner = ?", owner).Order("id").Limit(50).Find(&items).Error
	return items, err
}

func (s *gormStore) World(ctx context.Context, id int64) (w World, err error) {
	err = s.db.WithContext(ctx).First(&w, id).Error
	return w, err
}

func (s *gormStore) Worlds(ctx context.Context, ids []int64) (worlds []World, err error) {
	err = s.db.WithContext(ctx).Where("id IN ?", ids).Order("id").Find(&worlds).Error
	return worlds, err
}

// Insert is a transaction, as gorm's Create is by default.
func (s *gormStore) Insert(ctx context.Context, in NewEntry) (int64, error) {
	entry := Entry{Owner: in.Owner, Title: in.Title, Price: in.Price}
	err := s.db.WithContext(ctx).Create(&entry).Error
	return entry.ID, err
}

func (s *gormStore) Fortunes(ctx context.Context) (fortunes []Fortune, err error) {
	err = s.db.WithContext(ctx).Find(&fortunes).Error
	return fortunes, err
}

func (s *gormStore) Update(ctx context.Context, ids []int64) ([]World, error) {
	worlds := make([]World, len(ids))
	err := s.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		for i, id := range ids {
			worlds[i].ID = id
			err := tx.Model(&worlds[i]).Clauses(clause.Returning{}).Update("number", gorm.Expr(NextNumber)).Error
			if err != nil {
				return err
			}
		}
		return nil
	})
	return worlds, err
}
