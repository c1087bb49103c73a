# SPDX-License-Identifier: MIT
"""SQLAlchemy: a table of people and one of letters, in memory."""
import sys

from sqlalchemy import Column, ForeignKey, Integer, String, create_engine, func
from sqlalchemy.orm import declarative_base, relationship, sessionmaker

Base = declarative_base()


class Person(Base):
    __tablename__ = "people"
    id = Column(Integer, primary_key=True)
    name = Column(String)
    letters = relationship("Letter", back_populates="sender")


class Letter(Base):
    __tablename__ = "letters"
    id = Column(Integer, primary_key=True)
    text = Column(String)
    sender_id = Column(Integer, ForeignKey("people.id"))
    sender = relationship("Person", back_populates="letters")


engine = create_engine("sqlite://")
Base.metadata.create_all(engine)
session = sessionmaker(bind=engine)()
for number in range(int(sys.argv[1])):
    person = Person(name=f"person {number}")
    person.letters = [Letter(text=f"letter {n}" * n) for n in range(number % 7)]
    session.add(person)
session.commit()
for person in session.query(Person).order_by(Person.id).limit(50):
    print(person.name, sum(len(letter.text) for letter in person.letters))
print(session.query(func.count(Letter.id)).scalar())
